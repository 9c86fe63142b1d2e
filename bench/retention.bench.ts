import { Redis } from 'ioredis';
import { RedisServer } from '../__tests__/support/redis-server.js';
import { RedisStore } from '../lib/stores/redis/redis-store.js';
import type { Claim, Terms } from '../lib/stores/store.js';

// What a kept job costs RedisStore, and how fast sweepers get through those that are due. JOBS kept at once. @default 1_000_000
const JOBS = Number(process.env['JOBS'] ?? 1_000_000);
const HOUR = 3_600_000;
const IN_FLIGHT = 64;
const CLAIM = 500;

const terms: Terms = {
  plan: 'free',
  limits: [{ kind: 'concurrency', name: 'concurrency', limit: JOBS, maxRunMs: 8 * HOUR, mode: 'enforce' }],
  pendingMs: 60_000,
  rememberMs: 24 * HOUR,
  retention: { resultsMs: 24 * HOUR, metadataMs: 90 * 24 * HOUR },
};

const idOf = (i: number): string => `${i}`.padStart(22, '0');

const usedMemory = async (client: Redis): Promise<number> =>
  Number(/used_memory:(\d+)/.exec(await client.info('memory'))?.[1]);

async function repeat(times: number, run: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < times) await run((next += 1) - 1);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

/** Bytes a job once all are kept, then claims and confirms them all. */
async function measure(server: RedisServer, jobs: number, customers: number): Promise<void> {
  const client = new Redis(server.port);
  await client.flushall();
  await client.config('RESETSTAT');
  let offset = 0;
  const store = new RedisStore({ client, timeoutMs: 60_000, timeOffsetMs: () => offset });
  await store.usage('warm-up', []);
  const before = await usedMemory(client);
  await repeat(jobs, async (i) => {
    const ref = { customer: `customer-${i % customers}`, id: idOf(i) };
    await store.admit({ ref, run: ref.id, terms });
    await store.commit(ref, ref.id);
    await store.finish(ref, { state: 'completed' });
  });
  const bytes = ((await usedMemory(client)) - before) / jobs;
  console.log(`\n${jobs} kept jobs of ${customers} customers: ${bytes.toFixed(0)} bytes a job`);
  await client.config('SET', 'slowlog-log-slower-than', '5000');
  await client.slowlog('RESET');
  for (const [what, ms] of [
    ['results', 24 * HOUR],
    ['metadata', 90 * 24 * HOUR],
  ] as const) {
    offset += ms;
    const [start, cpu] = [performance.now(), await cpuOf(client)];
    let swept = 0;
    await Promise.all(
      Array.from({ length: store.shards }, async (_, shard) => {
        let claims: Claim[];
        do {
          claims = await store.claim({ shard, limit: CLAIM, leaseMs: 60_000 });
          const confirmed = await store.confirm(claims);
          swept += confirmed;
        } while (claims.length > 0);
      }),
    );
    const seconds = (performance.now() - start) / 1_000;
    const busy = (await cpuOf(client)) - cpu;
    console.log(
      `  ${what}: ${swept} claimed and confirmed in ${seconds.toFixed(1)} s, ${Math.round(swept / seconds)} a second ` +
        `(${Math.round(swept / busy)} a second of the server's CPU)`,
    );
  }
  const slow = (await client.slowlog('GET', 100)) as [number, number, number, string[]][];
  const longest = Math.max(0, ...slow.map(([, , micros]) => micros));
  if (process.env['SLOW']) console.log(slow.map(([, , micros, args]) => [micros, ...args.map((a) => a.slice(0, 60))].join(' ')).join('\n'));
  console.log(`  calls over 5 ms: ${slow.length}, the longest ${longest / 1_000} ms; keys left: ${await client.dbsize()}`);
  client.disconnect();
}

const cpuOf = async (client: Redis): Promise<number> => {
  const info = await client.info('cpu');
  const field = (name: string): number => Number(new RegExp(`${name}:([\\d.]+)`).exec(info)?.[1]);
  return field('used_cpu_user') + field('used_cpu_sys');
};

async function main(): Promise<void> {
  const server = await RedisServer.start();
  console.log(`Node ${process.version}, ${await server.cli('INFO', 'server').then((info) => /redis_version:\S+/.exec(info)?.[0])}`);
  try {
    await measure(server, JOBS / 10, JOBS / 1_000);
    await measure(server, JOBS / 10, 1);
    await measure(server, JOBS, JOBS / 100);
  } finally {
    await server.stop();
  }
}

void main();
