import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { systemClock } from '../../../lib/clock.js';
import { startSweeper } from '../../../lib/jobs/sweeper.js';
import { RedisStore } from '../../../lib/stores/redis/redis-store.js';
import type { JobRef, StoredJob } from '../../../lib/stores/store.js';
import { finished, keptTerms } from '../../../lib/testing/contract/kept-jobs.js';
import { HOUR } from '../../../lib/testing/harness.js';
import { RedisServer, until } from '../../support/redis-server.js';
import type { SweepWorkerOptions } from '../../support/sweep-worker.js';
import { describeWithRedis } from '../../support/with-redis.js';

const due = keptTerms({ resultsMs: HOUR, metadataMs: HOUR });
const later = keptTerms({ resultsMs: 3 * HOUR, metadataMs: 3 * HOUR });

describeWithRedis('several sweepers', () => {
  let server: RedisServer;
  let clients: Redis[];
  const connect = (): Redis => {
    const client = new Redis(server.port);
    clients.push(client);
    return client;
  };

  beforeEach(async () => {
    server = await RedisServer.start();
    clients = [];
  });
  afterEach(async () => {
    for (const client of clients) client.disconnect();
    await server.stop();
  });

  async function makeJobs(store: RedisStore, times: number, terms: typeof due): Promise<JobRef[]> {
    return Promise.all(
      Array.from({ length: times }, (_, i) =>
        finished(store, terms, { state: 'completed' }, `customer-${i % 40}`),
      ),
    );
  }

  test('four on 2,000 due jobs: all are deleted, none early, though one callback in ten fails', async () => {
    let offset = 0;
    const storeOf = (): RedisStore =>
      new RedisStore({ client: connect(), timeOffsetMs: () => offset, timeoutMs: 10_000 });
    const store = storeOf();
    const refs = await makeJobs(store, 2_000, due);
    const waiting = await makeJobs(store, 500, later);
    offset += HOUR;
    const results = new Map<string, number>();
    const metadata = new Set<string>();
    const early: StoredJob[] = [];
    const onExpire = async (job: StoredJob): Promise<void> => {
      if (job.resultsExpireAt! > Date.now() + offset) early.push(job);
      results.set(job.ref.id, (results.get(job.ref.id) ?? 0) + 1);
      await sleep(1);
      if (Math.random() < 0.1) throw new Error('the storage is away');
    };
    const onMetadataExpire = ({ ref }: StoredJob): void => void metadata.add(ref.id);
    const sweepers = Array.from({ length: 4 }, () =>
      startSweeper(
        storeOf(),
        { onExpire, onMetadataExpire, everyMs: 50, batch: 100 },
        () => undefined,
        systemClock,
      ),
    );
    await until(() => metadata.size === refs.length, 'everything to be deleted', 60_000);
    await Promise.all(sweepers.map((sweeper) => sweeper.stop()));
    expect(early).toEqual([]);
    expect(results.size).toBe(refs.length);
    const calls = [...results.values()].reduce((a, b) => a + b, 0);
    expect(calls / refs.length).toBeLessThanOrEqual(1.2);
    for (const ref of refs.slice(0, 100)) expect(await store.job(ref)).toBeUndefined();
    for (const ref of waiting) expect((await store.job(ref))?.expired).toBeUndefined();
  }, 90_000);

  test('killed at random: everything is deleted all the same, and nothing early', async () => {
    let offset = 0;
    const client = connect();
    const store = new RedisStore({ client, timeOffsetMs: () => offset, timeoutMs: 10_000 });
    const refs = await makeJobs(store, 1_000, due);
    const waiting = await makeJobs(store, 200, later);
    offset += HOUR;
    const options: SweepWorkerOptions = { port: server.port, offsetMs: offset, failsOneIn: 10 };
    const start = (): ChildProcess =>
      fork(join(__dirname, '../../support/sweep-worker.ts'), [JSON.stringify(options)], {
        execArgv: ['--import', 'tsx'],
      });
    const workers = Array.from({ length: 3 }, start);
    const deleted = (what: string): Promise<number> => client.scard(`deleted:${what}`);
    for (let kill = 0; kill < 4; kill += 1) {
      const before = await deleted('results');
      await until(async () => (await deleted('results')) > before, 'some more to be deleted', 30_000);
      workers[kill % 3]!.kill('SIGKILL');
      workers[kill % 3] = start();
    }
    await until(async () => (await deleted('metadata')) === refs.length, 'everything to be deleted', 60_000);
    const gone = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
    for (const worker of workers) worker.send('stop');
    await Promise.all(gone);
    expect(await deleted('results')).toBe(refs.length);
    for (const ref of refs) expect(await store.job(ref)).toBeUndefined();
    for (const ref of waiting) expect((await store.job(ref))?.expired).toBeUndefined();
  }, 120_000);
});
