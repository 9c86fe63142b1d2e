import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { variants } from './admission/variants.js';
import { median, printTable, versionsOf } from './support/table.js';
import { memoryOfCustomers } from './admission/memory.js';

// Every variant in a process of its own, in turn, so that drift of the machine's speed meets all alike.
const ROUNDS = Number(process.env['ROUNDS'] ?? 9);
const REQUESTS = Number(process.env['REQUESTS'] ?? 40_000);

const measure = (name: string, load: string): number =>
  Number(
    execFileSync(
      process.execPath,
      [
        '--import',
        join(__dirname, '../scripts/typescript.mjs'),
        join(__dirname, 'admission/measure.ts'),
        name,
        load,
        String(REQUESTS),
      ],
      { encoding: 'utf8' },
    ),
  );

console.log(`Node ${process.version}, ${ROUNDS} rounds of ${REQUESTS} requests in process, medians`);
console.log(versionsOf('express', 'express-rate-limit', 'rate-limiter-flexible'));

for (const load of ['allowed', 'refused']) {
  const times = new Map(Object.keys(variants).map((name) => [name, [] as number[]]));
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [name, of] of times) of.push(measure(name, load));
  }
  const bare = median(times.get('bare')!);
  const peer = median(times.get('express-rate-limit')!) - bare;
  console.log(`\n${load}:`);
  printTable(
    [...times].map(([name, of]) => {
      const added = median(of) - bare;
      return {
        variant: name,
        'µs a request': median(of).toFixed(2),
        'added µs': added.toFixed(2),
        '× what express-rate-limit adds': (added / peer).toFixed(2),
      };
    }),
  );
}

void memoryOfCustomers();
