// The real Transloadit SDK with an assembly that brings too much: prints what it makes of the refusal as JSON.
// Usage: node transloadit-refused.mjs <endpoint> <auth key> <number of URLs>
import { Transloadit } from 'transloadit';

const [endpoint, authKey, count] = process.argv.slice(2);
const client = new Transloadit({ endpoint, authKey, authSecret: 'secret' });

const url = Array.from({ length: Number(count) }, (_, index) => `https://example.com/${index}.mp4`);
try {
  await client.createAssembly({ params: { steps: { imported: { robot: '/http/import', url } } } });
} catch ({ name, code, message }) {
  console.log(JSON.stringify({ name, code, message }));
}
