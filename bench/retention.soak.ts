import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { RedisServer } from '../__tests__/support/redis-server.js';
import type { SweepWorkerOptions } from '../__tests__/support/sweep-worker.js';
import * as scripts from '../lib/stores/redis/scripts.js';
import { RedisStore } from '../lib/stores/redis/redis-store.js';
import { finished, keptTerms } from '../lib/testing/contract/kept-jobs.js';

// Four sweepers on many due jobs, one of them killed now and then, with a callback that fails one in ten. JOBS @default 100_000
const JOBS = Number(process.env['JOBS'] ?? 100_000);
const CUSTOMERS = 500;
const HOUR = 3_600_000;
const KILL_EVERY_MS = 2_000;
const SLOW_MICROS = 5_000;

const [due, later] = [HOUR, 3 * HOUR].map((ms) => keptTerms({ resultsMs: ms, metadataMs: ms }));

type SlowCall = [id: number, at: number, micros: number, args: string[]];

async function main(): Promise<void> {
  const server = await RedisServer.start();
  const client = new Redis(server.port);
  let offset = 0;
  const store = new RedisStore({ client, timeOffsetMs: () => offset, timeoutMs: 60_000 });
  const make = async (times: number, terms: typeof due): Promise<void> => {
    for (let i = 0; i < times; i += 100) {
      await Promise.all(
        Array.from({ length: 100 }, (_, j) =>
          finished(store, terms, { state: 'completed' }, `customer-${(i + j) % CUSTOMERS}`),
        ),
      );
    }
  };
  await make(JOBS, due);
  await make(JOBS / 10, later);
  offset = HOUR;
  await client.config('SET', 'slowlog-log-slower-than', String(SLOW_MICROS));
  await client.config('SET', 'slowlog-max-len', '100000');
  await client.call('SLOWLOG', 'RESET');
  await client.config('RESETSTAT');
  const options: SweepWorkerOptions = {
    port: server.port,
    offsetMs: offset,
    failsOneIn: 10,
    batch: 200,
    leaseMs: 10_000,
  };
  const start = (): ChildProcess =>
    fork(join(__dirname, '../__tests__/support/sweep-worker.ts'), [JSON.stringify(options)], {
      execArgv: ['--import', 'tsx'],
    });
  const workers = Array.from({ length: 4 }, start);
  const began = performance.now();
  let kills = 0;
  while ((await client.scard('deleted:metadata')) < JOBS) {
    await sleep(KILL_EVERY_MS);
    workers[kills % 4]!.kill('SIGKILL');
    workers[kills % 4] = start();
    kills += 1;
  }
  const seconds = (performance.now() - began) / 1_000;
  for (const worker of workers) worker.kill('SIGKILL');
  const called = (await client.hvals('calls:results')).map(Number).reduce((a, b) => a + b, 0);
  const [deleted, kept] = [await client.scard('deleted:results'), await client.hlen('calls:results')];
  console.log(
    `${JOBS} due jobs of ${CUSTOMERS} customers, ${kills} kills, ${seconds.toFixed(0)} s: results of ${deleted} deleted, ` +
      `of ${kept - JOBS} that were not due; ${(called / JOBS).toFixed(3)} callbacks a job`,
  );
  const slow = (await client.call('SLOWLOG', 'GET', '-1')) as SlowCall[];
  const names = new Map(Object.values(scripts).map(({ sha, name }) => [sha, name]));
  const calls = slow.filter(([, , , [command]]) => command!.toLowerCase() === 'evalsha');
  const longest = Math.max(0, ...calls.map(([, , micros]) => micros));
  const by = calls.reduce<Record<string, number>>((sums, [, , , [, sha]]) => {
    const name = names.get(sha!) ?? sha!;
    return { ...sums, [name]: (sums[name] ?? 0) + 1 };
  }, {});
  console.log(
    `Calls over ${SLOW_MICROS / 1_000} ms: ${calls.length} scripts ${JSON.stringify(by)}, the longest ${longest / 1_000} ms; ` +
      `${slow.length - calls.length} others, among them scripts that the server had to compile, and commands that take a ` +
      'microsecond when nothing is in its way',
  );
  for (const [name, stats] of [
    ...(await client.info('commandstats')).matchAll(/cmdstat_(evalsha|eval):(.*)/g),
  ].map(([, command, rest]) => [command, rest] as const)) {
    console.log(`  ${name}: ${stats}`);
  }
  client.disconnect();
  await server.stop();
}

void main();
