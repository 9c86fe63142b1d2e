import { setTimeout as sleep } from 'node:timers/promises';
import { Cluster, Redis } from 'ioredis';
import { createClient } from 'redis';
import { FailoverStore } from '../../../lib/stores/failover/failover-store.js';
import { RedisStore, type RedisStoreOptions } from '../../../lib/stores/redis/redis-store.js';
import type { StoreEvent, Terms } from '../../../lib/stores/store.js';
import { rate, slots, termsOf, usedOf } from '../../../lib/testing/harness.js';
import { RedisCluster, RedisServer, until } from '../../support/redis-server.js';
import { startLoad, type LoadReport } from '../../support/store-load.js';
import { TcpProxy } from '../../support/tcp-proxy.js';
import { describeWithRedis } from '../../support/with-redis.js';

const LIMIT = 20;
const TIMEOUT_MS = 500;
/** A call may wait for the timeout; this much more is a busy machine's. ioredis by itself waits for many seconds. */
const GRACE_MS = 2_500;
const terms: Terms = { ...termsOf(slots(LIMIT)), pendingMs: 2_000 };

/** A store with everything that stands before it in an API, closed at the end. */
function sceneOn(client: RedisStoreOptions['client'], options: { deny?: boolean } = {}) {
  const redis = new RedisStore({ client, timeoutMs: TIMEOUT_MS, refusalCache: false });
  const store = new FailoverStore({
    store: redis,
    timeout: TIMEOUT_MS,
    ...(options.deny ? { onStoreError: 'deny' } : { processes: 1 }),
  });
  const events: StoreEvent[] = [];
  store.subscribe((event) => events.push(event));
  const switches = () => events.flatMap((event) => (event.type === 'store-switched' ? [event.to] : []));
  const back = () => until(() => switches().at(-1) === 'store', 'the return to the store', 20_000);
  return { redis, store, events, switches, back };
}

function expectSane(report: LoadReport): void {
  expect(report.strange).toEqual([]);
  expect(report.replayed).toBe(0);
  expect(report.longestMs).toBeLessThan(TIMEOUT_MS + GRACE_MS);
}

/** All that was admitted has been finished, and the store knows it. */
async function expectNothingHeld(redis: RedisStore, customers = ['acme']): Promise<void> {
  for (const customer of customers) {
    await until(
      async () => (await usedOf(redis, terms, customer))['concurrency'] === 0,
      'every slot to come back',
    );
  }
}

describeWithRedis('RedisStore when things break, with load', () => {
  const unhandled: unknown[] = [];
  const note = (reason: unknown): void => void unhandled.push(reason);
  let open: (() => unknown)[];
  let handlesBefore: string[];

  const handles = (): string[] =>
    process
      .getActiveResourcesInfo()
      .filter((name) => name === 'TCPSocketWrap' || name === 'Timeout')
      .sort();

  beforeAll(() => process.on('unhandledRejection', note));
  afterAll(() => process.off('unhandledRejection', note));
  beforeEach(() => {
    open = [];
    handlesBefore = handles();
  });
  afterEach(async () => {
    for (const close of open.reverse()) await close();
    await until(() => handles().length <= handlesBefore.length, 'sockets and timers to be gone');
    expect(unhandled).toEqual([]);
  });

  async function serverOf(...args: string[]): Promise<RedisServer> {
    const server = await RedisServer.start(...args);
    open.push(() => server.stop());
    return server;
  }

  function ioredisOn(port: number): Redis {
    const client = new Redis(port);
    client.on('error', () => undefined);
    open.push(() => client.disconnect());
    return client;
  }

  /** A load that is stopped at the end, should the test not come so far. */
  function loadOn(...args: Parameters<typeof startLoad>): ReturnType<typeof startLoad> {
    const load = startLoad(...args);
    open.push(() => load.stop());
    return load;
  }

  test('killed and restarted empty: local meanwhile, then counted anew with the jobs that run', async () => {
    const server = await serverOf();
    const { redis, store, events, switches, back } = sceneOn(ioredisOn(server.port));
    open.push(() => store.close());
    const load = loadOn(store, { customers: ['acme'], terms });
    await sleep(800);
    await server.kill();
    await until(() => switches().includes('local'), 'the switch to local');
    await sleep(800);
    await server.start();
    await back();
    await sleep(800);
    await load.stop();
    expectSane(load.report);
    expect(load.report.failures).toEqual({});
    // Before, meanwhile and after: the store forgot the first and was told of the second.
    expect(load.report.mostRunning).toBeLessThanOrEqual(3 * LIMIT);
    expect(switches()).toEqual(['local', 'store']);
    expect(events.some(({ type }) => type === 'journal-written')).toBe(true);
    await expectNothingHeld(redis);
  }, 40_000);

  test('killed and restarted with its data: leases from before are still held', async () => {
    const server = await serverOf('--appendonly', 'yes', '--appendfsync', 'always');
    const { redis, store, back, switches } = sceneOn(ioredisOn(server.port));
    open.push(() => store.close());
    const kept = { customer: 'acme', id: 'kept' };
    await store.admit({ ref: kept, run: 'kept', terms });
    await store.commit(kept, 'kept');
    const load = loadOn(store, { customers: ['acme'], terms });
    await sleep(800);
    await server.kill();
    await until(() => switches().includes('local'), 'the switch to local');
    await sleep(500);
    await server.start();
    await back();
    await sleep(500);
    await load.stop();
    expectSane(load.report);
    expect(load.report.mostRunning).toBeLessThanOrEqual(2 * LIMIT);
    expect((await redis.job(kept))?.state).toBe('running');
    expect(await store.finish(kept, { state: 'completed' })).toBe('finished');
    await expectNothingHeld(redis);
  }, 40_000);

  test('paused for 5 s: nobody waits longer than the timeout, and most don’t wait at all', async () => {
    const server = await serverOf();
    const { redis, store, back, switches } = sceneOn(ioredisOn(server.port));
    open.push(() => store.close());
    const load = loadOn(store, { customers: ['acme'], terms });
    await sleep(800);
    server.signal('SIGSTOP');
    await until(() => switches().includes('local'), 'the switch to local');
    const { admitted, refused } = load.report;
    await sleep(5_000);
    // Eight workers that each waited for every call would have made 80 calls in this time.
    expect(load.report.admitted + load.report.refused - admitted - refused).toBeGreaterThan(400);
    server.signal('SIGCONT');
    await back();
    await sleep(500);
    await load.stop();
    expectSane(load.report);
    expect(load.report.failures).toEqual({});
    expect(load.report.mostRunning).toBeLessThanOrEqual(2 * LIMIT);
    await expectNothingHeld(redis);
  }, 40_000);

  test('deny: an outage is told at once, to every request', async () => {
    const server = await serverOf();
    const { redis, store, back, switches } = sceneOn(ioredisOn(server.port), { deny: true });
    open.push(() => store.close());
    const load = loadOn(store, { customers: ['acme'], terms });
    await sleep(500);
    server.signal('SIGSTOP');
    await until(() => switches().includes('deny'), 'the switch');
    await sleep(1_000);
    server.signal('SIGCONT');
    await back();
    await sleep(300);
    await load.stop();
    expectSane(load.report);
    expect(Object.keys(load.report.failures)).toEqual(['STORE_UNAVAILABLE']);
    expect(load.report.mostRunning).toBeLessThanOrEqual(LIMIT);
    await expectNothingHeld(redis);
  }, 40_000);

  test.each(['ioredis', 'node-redis'])(
    'SCRIPT FLUSH again and again goes unnoticed with %s',
    async (library) => {
      const server = await serverOf();
      let client: RedisStoreOptions['client'] = ioredisOn(server.port);
      if (library === 'node-redis') {
        const nodeRedis = createClient({ url: `redis://127.0.0.1:${server.port}` });
        await nodeRedis.connect();
        open.push(() => nodeRedis.destroy());
        client = nodeRedis;
      }
      const { redis, store, switches } = sceneOn(client);
      open.push(() => store.close());
      const load = loadOn(store, { customers: ['acme'], terms });
      for (let i = 0; i < 20; i += 1) {
        await server.cli('SCRIPT', 'FLUSH');
        await sleep(30);
      }
      await load.stop();
      expectSane(load.report);
      expect(load.report.failures).toEqual({});
      expect(load.report.mostRunning).toBeLessThanOrEqual(LIMIT);
      expect(switches()).toEqual([]);
      await expectNothingHeld(redis);
    },
    40_000,
  );

  test('replies that are lost: nothing is charged twice or taken for a replay, though ioredis runs scripts twice', async () => {
    const server = await serverOf();
    const proxy = await TcpProxy.start(server.port);
    open.push(() => proxy.stop());
    const redis = new RedisStore({ client: ioredisOn(proxy.port), timeoutMs: 5_000, refusalCache: false });
    await redis.usage('acme', []);
    const direct = ioredisOn(server.port);
    const calls = async (): Promise<number> =>
      Number(/cmdstat_evalsha:calls=(\d+)/.exec(await direct.info('commandstats'))?.[1]);
    const before = await calls();
    const wide = termsOf(rate(1_000, 600_000), slots(1_000));
    let pieces = 0;
    proxy.loses = () => (pieces += 1) % 5 === 0;
    const ids = Array.from({ length: 60 }, (_, i) => `job-${i}`);
    const answers: string[] = [];
    for (const id of ids) {
      const decision = await redis.admit({ ref: { customer: 'acme', id }, run: id, terms: wide });
      answers.push(decision.allowed ? (decision.replayed ? 'replayed' : 'admitted') : 'refused');
    }
    proxy.loses = () => false;
    expect(new Set(answers)).toEqual(new Set(['admitted']));
    expect((await calls()) - before).toBeGreaterThan(ids.length);
    expect(await usedOf(redis, wide)).toEqual({ 'creation-rate': 60, concurrency: 60 });

    pieces = 0;
    proxy.loses = () => (pieces += 1) % 5 === 0;
    for (const id of ids.slice(0, 30)) await redis.refund({ customer: 'acme', id }, id);
    for (const id of ids.slice(30)) await redis.finish({ customer: 'acme', id }, { state: 'completed' });
    proxy.loses = () => false;
    expect(await usedOf(redis, wide)).toEqual({ 'creation-rate': 30, concurrency: 0 });
  }, 60_000);

  test('replies that are lost with node-redis: a clean error, and a second try is the same admission', async () => {
    const server = await serverOf();
    const proxy = await TcpProxy.start(server.port);
    open.push(() => proxy.stop());
    const client = createClient({ url: `redis://127.0.0.1:${proxy.port}` });
    client.on('error', () => undefined);
    await client.connect();
    open.push(() => client.destroy());
    const redis = new RedisStore({ client, timeoutMs: 5_000, refusalCache: false });
    await redis.usage('acme', []);
    let lose = true;
    proxy.loses = () => lose;
    const job = { ref: { customer: 'acme', id: 'one' }, run: 'one', terms };
    await expect(redis.admit(job)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    lose = false;
    expect(await redis.admit(job)).toMatchObject({ allowed: true, replayed: false });
    expect(await usedOf(redis, terms)).toEqual({ concurrency: 1 });
  }, 30_000);

  test('failover to a replica: exact but for the writes that had not arrived', async () => {
    const primary = await serverOf();
    const replica = await serverOf('--replicaof', '127.0.0.1', String(primary.port));
    await until(
      async () => (await replica.cli('INFO', 'replication')).includes('master_link_status:up'),
      'sync',
    );
    const proxy = await TcpProxy.start(primary.port);
    open.push(() => proxy.stop());
    const client = ioredisOn(proxy.port);
    const { redis, store, back, switches } = sceneOn(client);
    // One that has no journal to write, so that only its probe can tell.
    const denying = sceneOn(client, { deny: true });
    open.push(
      () => store.close(),
      () => denying.store.close(),
    );
    const load = loadOn(store, { customers: ['acme'], terms });
    await sleep(800);
    await primary.kill();
    await until(() => switches().includes('local'), 'the switch to local');
    await until(async () => {
      await denying.store.override('acme').catch(() => null);
      return denying.switches().includes('deny');
    }, 'the switch to deny');
    // Until it is promoted it can be read, not written: that must not be taken for a return.
    proxy.targetPort = replica.port;
    await sleep(1_500);
    expect([switches(), denying.switches()]).toEqual([['local'], ['deny']]);
    await replica.cli('REPLICAOF', 'NO', 'ONE');
    await Promise.all([back(), denying.back()]);
    await sleep(500);
    await load.stop();
    expectSane(load.report);
    expect(load.report.mostRunning).toBeLessThanOrEqual(2 * LIMIT + 1);
    await expectNothingHeld(redis);
  }, 40_000);

  test('one master of a Cluster down: its customers go on locally, the others as if nothing happened', async () => {
    const cluster = await RedisCluster.start();
    open.push(() => cluster.stop());
    const client = new Cluster(cluster.nodes);
    client.on('error', () => undefined);
    open.push(() => client.disconnect());
    const { redis, store, events, back } = sceneOn(client);
    open.push(() => store.close());
    await store.usage('anybody', []);
    const victim = cluster.servers[0]!;
    const names = Array.from({ length: 12 }, (_, i) => `customer-${i}`);
    const isVictims = (name: string): boolean => redis.partitionOf(name).endsWith(`:${victim.port}`);
    const lost = names.filter(isVictims);
    const others = names.filter((name) => !isVictims(name));
    expect(lost.length * others.length).toBeGreaterThan(0);
    const load = loadOn(store, { customers: lost, terms });
    const otherLoad = loadOn(store, { customers: others, terms });
    await sleep(500);
    await victim.kill();
    await until(() => events.some((event) => event.type === 'store-switched'), 'the switch to local', 20_000);
    await sleep(1_500);
    await victim.start();
    await back();
    await sleep(500);
    await load.stop();
    await otherLoad.stop();
    for (const { report } of [load, otherLoad]) expectSane(report);
    expect(otherLoad.report.mostRunning).toBeLessThanOrEqual(LIMIT);
    const switched = events.flatMap((event) => (event.type === 'store-switched' ? [event.partition] : []));
    expect(switched.every((partition) => partition.endsWith(`:${victim.port}`))).toBe(true);
    await expectNothingHeld(redis, names);
  }, 60_000);
});
