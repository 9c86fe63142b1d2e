import { Redis } from 'ioredis';
import { RedisServer } from '../__tests__/support/redis-server.js';
import { RedisStore } from '../lib/stores/redis/redis-store.js';
import type { Claim, Terms } from '../lib/stores/store.js';

// What a kept job costs RedisStore, and how fast sweepers get through those that are due, with callbacks that do nothing. JOBS
// is how many are kept at once in the longest part. @default 1_000_000
const JOBS = Number(process.env['JOBS'] ?? 1_000_000);
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const IN_FLIGHT = 64;
const BATCH = 500;

const terms: Terms = {
  plan: 'free',
  limits: [{ kind: 'concurrency', name: 'concurrency', limit: JOBS, maxRunMs: 8 * HOUR, mode: 'enforce' }],
  pendingMs: 60_000,
  rememberMs: DAY,
  retention: { resultsMs: DAY, metadataMs: 90 * DAY },
};

const idOf = (i: number): string => `${i}`.padStart(22, '0');

const infoOf = async (client: Redis, section: string, field: string): Promise<number> =>
  Number(new RegExp(`${field}:([\\d.]+)`).exec(await client.info(section))?.[1]);

const cpuOf = async (client: Redis): Promise<number> =>
  (await infoOf(client, 'cpu', 'used_cpu_user')) + (await infoOf(client, 'cpu', 'used_cpu_sys'));

async function repeat(times: number, run: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < times) await run((next += 1) - 1);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

/** Claims and confirms what is due of one shard, and says how much. */
async function sweepShard(store: RedisStore, shard: number): Promise<number> {
  let swept = 0;
  let claims: Claim[];
  do {
    claims = await store.claim({ shard, limit: BATCH, leaseMs: 600_000 });
    swept += await store.confirm(claims);
  } while (claims.length > 0);
  return swept;
}

/** Bytes a job once all are kept, then claims and confirms them all. */
async function measure(server: RedisServer, jobs: number, customers: number): Promise<void> {
  const client = new Redis(server.port);
  await client.flushall();
  let offset = 0;
  const store = new RedisStore({ client, timeoutMs: 60_000, timeOffsetMs: () => offset });
  await store.usage('warm-up', []);
  const before = await infoOf(client, 'memory', 'used_memory');
  await repeat(jobs, async (i) => {
    const ref = { customer: `customer-${i % customers}`, id: idOf(i) };
    await store.admit({ ref, run: ref.id, terms });
    await store.commit(ref, ref.id);
    await store.finish(ref, { state: 'completed' });
  });
  const bytes = ((await infoOf(client, 'memory', 'used_memory')) - before) / jobs;
  console.log(`\n${jobs} kept jobs of ${customers} customers: ${bytes.toFixed(0)} bytes a job`);
  for (const [what, ms] of [
    ['results', DAY],
    ['metadata', 90 * DAY],
  ] as const) {
    offset += ms;
    const [start, cpu] = [performance.now(), await cpuOf(client)];
    const shards = Array.from({ length: store.shards }, (_, shard) => sweepShard(store, shard));
    const swept = (await Promise.all(shards)).reduce((a, b) => a + b, 0);
    const seconds = (performance.now() - start) / 1_000;
    const busy = (await cpuOf(client)) - cpu;
    console.log(
      `  ${what}: ${swept} claimed and confirmed in ${seconds.toFixed(1)} s, ${Math.round(swept / seconds)} a second; ` +
        `${((busy * 1e6) / swept).toFixed(1)} µs of the server's CPU each`,
    );
  }
  client.disconnect();
}

async function main(): Promise<void> {
  const server = await RedisServer.start();
  const version = /redis_version:\S+/.exec(await server.cli('INFO', 'server'))?.[0];
  console.log(`Node ${process.version}, ${version}`);
  try {
    await measure(server, JOBS / 10, JOBS / 1_000);
    await measure(server, JOBS / 10, 1);
    await measure(server, JOBS, JOBS / 100);
  } finally {
    await server.stop();
  }
}

void main();
