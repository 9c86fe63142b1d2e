import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import type { AddressInfo } from 'node:net';
import express from 'express';
import { rateLimit } from 'express-rate-limit';
import { Redis } from 'ioredis';
import { RateLimiterRedis } from 'rate-limiter-flexible';
import { RedisStore as PeerStore } from 'rate-limit-redis';
import { RedisServer } from '../__tests__/support/redis-server.js';
import { admission } from '../lib/index.js';
import { RedisStore } from '../lib/stores/redis/redis-store.js';
import type { Terms } from '../lib/stores/store.js';

// What RedisStore costs, against PING, rate-limit-redis and rate-limiter-flexible in the same run.
const LIMIT = 250;
const CUSTOMERS = Number(process.env['CUSTOMERS'] ?? 100);
const IN_FLIGHT = Number(process.env['IN_FLIGHT'] ?? 1);

type Autocannon = (options: object) => Promise<{ requests: { average: number }; non2xx: number }>;
// eslint-disable-next-line @typescript-eslint/no-require-imports -- it has no types
const autocannon = require('autocannon') as Autocannon;

const versionOf = (name: string): string =>
  (
    JSON.parse(readFileSync(join(__dirname, '../node_modules', name, 'package.json'), 'utf8')) as {
      version: string;
    }
  ).version;

const terms: Terms = {
  plan: 'free',
  limits: [
    { kind: 'creation-rate', name: 'creation-rate', limit: LIMIT, windowMs: 600_000, mode: 'enforce' },
    { kind: 'concurrency', name: 'concurrency', limit: LIMIT, maxRunMs: 28_800_000, mode: 'enforce' },
  ],
  pendingMs: 60_000,
  rememberMs: 86_400_000,
};

const BIG = 1e12;
const quotas = (['hour', 'month', 'stored'] as const).map((per, i) => ({
  kind: 'quota' as const,
  name: `quota-${i}`,
  unit: ['jobs', 'seconds', 'bytes'][i]!,
  per,
  limit: BIG,
  mode: 'enforce' as const,
}));
const withQuotas: Terms = { ...terms, limits: [...terms.limits, ...quotas] };

/** Runs it that many times, some in flight at once. */
async function repeat(times: number, run: (i: number) => Promise<unknown>): Promise<void> {
  let next = 0;
  const worker = async (): Promise<void> => {
    while (next < times) await run((next += 1) - 1);
  };
  await Promise.all(Array.from({ length: IN_FLIGHT }, worker));
}

const infoOf = async (client: Redis, section: string, field: string): Promise<number> =>
  Number(new RegExp(`${field}:([\\d.]+)`).exec(await client.info(section))?.[1] ?? 0);

const cpuOf = async (client: Redis): Promise<number> =>
  (await infoOf(client, 'cpu', 'used_cpu_user')) + (await infoOf(client, 'cpu', 'used_cpu_sys'));

/** Server CPU in µs for one call. */
async function serverCost(
  client: Redis,
  times: number,
  run: (i: number) => Promise<unknown>,
): Promise<number> {
  const before = await cpuOf(client);
  await repeat(times, run);
  return ((await cpuOf(client)) - before) * (1e6 / times);
}

const scriptCalls = async (client: Redis): Promise<number> =>
  Number(/cmdstat_evalsha:calls=(\d+)/.exec(await client.info('commandstats'))?.[1] ?? 0);

async function costs(client: Redis): Promise<void> {
  const store = new RedisStore({ client, prefix: 'bench', refusalCache: false });
  const peer = new PeerStore({
    sendCommand: (command: string, ...args: string[]) => client.call(command, ...args) as Promise<never>,
  });
  void peer.init({ windowMs: 600_000 } as never);
  const flexible = new RateLimiterRedis({ storeClient: client, points: LIMIT, duration: 600 });
  const times = LIMIT * CUSTOMERS;
  const customer = (i: number): string => `customer-${i % CUSTOMERS}`;
  const job = (i: number) => ({ ref: { customer: customer(i), id: idOf(i) }, run: idOf(i), terms });
  const extra = 100_000_000;
  await store.usage('warm-up', terms.limits);
  const rows: Record<string, number> = {};
  const measure = async (name: string, run: (i: number) => Promise<unknown>): Promise<void> => {
    rows[name] = await serverCost(client, times, run);
  };
  const calls = await scriptCalls(client);
  await measure('PING', () => client.ping());
  await measure('rate-limit-redis', (i) => peer.increment(customer(i)));
  await measure('rate-limiter-flexible', (i) => flexible.consume(customer(i)));
  const peerCalls = (await scriptCalls(client)) - calls;
  await measure('admit, two limits, record', (i) => store.admit(job(i)));
  const commands = ((await scriptCalls(client)) - calls - peerCalls) / times;
  await measure('the same and three quotas', (i) =>
    store.admit({
      ...job(i),
      ref: { customer: `quotas-${customer(i)}`, id: idOf(i) },
      terms: withQuotas,
      amounts: { seconds: 60, bytes: 5_000_000 },
    }),
  );
  await measure('rate-limit-redis, at the limit', (i) => peer.increment(customer(i)));
  await measure('rate-limiter-flexible, at the limit', (i) => flexible.consume(customer(i)).catch(() => 0));
  await measure('admit, at the limit', (i) => store.admit(job(i + extra)));
  await measure('commit', (i) => store.commit(job(i).ref, job(i).run));
  await measure('renew', (i) => store.renew(job(i).ref));
  await measure('finish', (i) => store.finish(job(i).ref, { state: 'completed' }));
  console.log(`\nServer CPU for one call, ${times} calls, ${IN_FLIGHT} in flight, limits of ${LIMIT}`);
  for (const [name, cost] of Object.entries(rows)) {
    const base = name.includes('at the limit') ? 'rate-limit-redis, at the limit' : 'rate-limit-redis';
    console.log(
      `${name.padEnd(38)} ${cost.toFixed(1).padStart(6)} µs  ${(cost / rows['PING']!).toFixed(2)} × PING  ` +
        `${(cost / rows[base]!).toFixed(2)} × ${base}`,
    );
  }
  console.log(`Commands for one admission: ${commands}`);
}

const idOf = (i: number): string => `${i}`.padStart(22, '0');

async function hammer(client: Redis): Promise<void> {
  const store = new RedisStore({ client, prefix: 'hammer' });
  const one = { ...terms, limits: [{ ...terms.limits[0]!, limit: 1 }] } as Terms;
  let made = 0;
  const ask = () => store.admit({ ref: { customer: 'acme', id: idOf(made) }, run: idOf(made++), terms: one });
  await ask();
  await ask();
  const [before, start] = [await scriptCalls(client), performance.now()];
  let asked = 0;
  while (performance.now() - start < 5_000) {
    await Promise.all(Array.from({ length: 100 }, ask));
    asked += 100;
    await new Promise(setImmediate);
  }
  const calls = (await scriptCalls(client)) - before;
  console.log(`\nA refused customer that hammers: ${asked} admissions in 5 s, ${calls} commands`);
}

async function memory(client: Redis): Promise<void> {
  await client.flushall();
  const store = new RedisStore({ client, prefix: 'memory' });
  await store.usage('warm-up', terms.limits);
  const used = () => infoOf(client, 'memory', 'used_memory');
  const before = await used();
  const busy = 100;
  await repeat(busy * LIMIT, async (i) => {
    const ref = { customer: `customer-${i % busy}`, id: idOf(i) };
    await store.admit({ ref, run: ref.id, terms });
    await store.commit(ref, ref.id);
  });
  const bytes = ((await used()) - before) / busy;
  console.log(`\nA busy customer (${LIMIT} in the rate's log, ${LIMIT} leases and records): ${bytes} bytes`);
  await client.flushall();
}

async function idle(client: Redis): Promise<void> {
  const customers = Number(process.env['IDLE_CUSTOMERS'] ?? 1_000_000);
  const brief: Terms = {
    ...terms,
    rememberMs: 1_000,
    limits: terms.limits.map((limit) =>
      limit.kind === 'creation-rate' ? { ...limit, windowMs: 1_000 } : limit,
    ),
  };
  const store = new RedisStore({ client, prefix: 'idle' });
  await repeat(customers, async (i) => {
    const ref = { customer: `customer-${i}`, id: idOf(i) };
    await store.admit({ ref, run: ref.id, terms: brief });
    await store.finish(ref, { state: 'completed' });
  });
  const ttls = await Promise.all(
    Array.from({ length: 1_000 }, async () => client.pttl((await client.randomkey()) ?? '')),
  );
  console.log(
    `\n${customers} customers that ran a job each: ${await client.dbsize()} keys left at the end, ` +
      `the longest of a thousand with ${Math.round(Math.max(...ttls) / 1000)} s to live`,
  );
  // What is left waits for its expiry; this stands for the wait.
  const left = await client.dbsize();
  let persistent = 0;
  let cursor = '0';
  do {
    const [next, keys] = await client.scan(cursor, 'COUNT', 5_000);
    const pipeline = client.pipeline();
    for (const key of keys) pipeline.pttl(key);
    for (const [, ttl] of (await pipeline.exec())!) if (ttl === -1) persistent += 1;
    cursor = next;
  } while (cursor !== '0');
  console.log(`Of ${left} keys, ${persistent} never expire (one says how the data is laid out)`);
  await client.flushall();
}

async function requests(client: Redis): Promise<void> {
  const big = { limit: 100_000, window: '10m' };
  const store = new RedisStore({ client, prefix: 'app' });
  const ours = express();
  ours.post(
    '/jobs',
    admission({
      store,
      customer: (req) => req.get('x-customer') ?? 'acme',
      plan: { creationRate: big, concurrency: { limit: 100_000 } },
    }),
    (_req, res) => void res.status(201).json({ ok: true }),
  );
  const theirs = express();
  theirs.use(
    rateLimit({
      windowMs: 600_000,
      limit: 1e9,
      keyGenerator: (req) => req.get('x-customer') ?? 'acme',
      store: new PeerStore({
        sendCommand: (command: string, ...args: string[]) => client.call(command, ...args) as Promise<never>,
      }),
    }),
  );
  theirs.post('/jobs', (_req, res) => void res.status(201).json({ ok: true }));
  console.log('\nRequests a second of an Express app, alternating, 3 × 5 s each');
  const rates: Record<string, number[]> = { admission: [], 'rate-limit-redis': [] };
  for (let round = 0; round < 3; round += 1) {
    for (const [name, app] of [
      ['admission', ours],
      ['rate-limit-redis', theirs],
    ] as const) {
      const server = app.listen(0, '127.0.0.1');
      await new Promise((resolve) => server.once('listening', resolve));
      const { port } = server.address() as AddressInfo;
      const requests = Array.from({ length: 500 }, (_, i) => ({
        method: 'POST' as const,
        path: '/jobs',
        headers: { 'x-customer': `customer-${i}` },
      }));
      const result = await autocannon({
        url: `http://127.0.0.1:${port}`,
        connections: 32,
        duration: 5,
        requests,
      });
      rates[name]!.push(result.requests.average);
      if (result.non2xx > 0) console.log(`${name}: ${result.non2xx} answers were not 2xx`);
      await new Promise((resolve) => server.close(resolve));
    }
  }
  for (const [name, values] of Object.entries(rates)) {
    console.log(`${name.padEnd(20)} ${values.map((value) => Math.round(value)).join(', ')}`);
  }
}

async function main(): Promise<void> {
  const server = await RedisServer.start();
  const client = new Redis(server.port);
  try {
    console.log(
      `Node ${process.version}, ${await server.cli('INFO', 'server').then((info) => /redis_version:\S+/.exec(info)?.[0])}, ` +
        ['ioredis', 'rate-limit-redis', 'rate-limiter-flexible', 'express-rate-limit']
          .map((name) => `${name} ${versionOf(name)}`)
          .join(', '),
    );
    const wanted = (process.env['PARTS'] ?? 'costs,hammer,memory,requests,idle').split(',');
    for (const part of [costs, hammer, memory, requests, idle])
      if (wanted.includes(part.name)) await part(client);
  } finally {
    client.disconnect();
    await server.stop();
  }
}

void main();
