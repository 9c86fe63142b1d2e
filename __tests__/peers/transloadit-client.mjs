// The real Transloadit SDK, which is an ES module and so runs in a process of its own, without a test runner around it:
// makes assemblies all at once, waits for their completion and prints what became of each as JSON.
// Usage: node transloadit-client.mjs <endpoint> <auth key> <number of assemblies>
import { Transloadit } from 'transloadit';

const [endpoint, authKey, count] = process.argv.slice(2);
const client = new Transloadit({ endpoint, authKey, authSecret: 'secret', validateResponses: true });

const assemblies = await Promise.all(
  Array.from({ length: Number(count) }, async (_, index) => {
    const url = `https://example.com/${index}.mp4`;
    const creation = client.createAssembly({
      params: { steps: { imported: { robot: '/http/import', url } } },
      waitForCompletion: true,
    });
    const { ok, assembly_id: id, results } = await creation;
    return { chosenId: creation.assemblyId, id, ok, url, results };
  }),
);
const cancelled = await client.cancelAssembly(assemblies[0].id);
console.log(JSON.stringify({ assemblies, cancelled: cancelled.ok }));
