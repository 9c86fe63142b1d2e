import { existsSync, readdirSync } from 'node:fs';
import { join } from 'node:path';
import { pathToFileURL } from 'node:url';

// npm run bench -- NAME runs bench/NAME.bench.ts; npm run soak -- NAME runs bench/NAME.soak.ts.
const [kind = 'bench', name] = process.argv.slice(2);
const file = join(__dirname, `${name}.${kind}.ts`);

if (name === undefined || !existsSync(file)) {
  const known = readdirSync(__dirname)
    .filter((entry) => entry.endsWith(`.${kind}.ts`))
    .map((entry) => entry.slice(0, -`.${kind}.ts`.length));
  console.error(`npm run ${kind} -- NAME, where NAME is one of: ${known.join(', ')}`);
  process.exit(2);
}
void import(pathToFileURL(file).href);
