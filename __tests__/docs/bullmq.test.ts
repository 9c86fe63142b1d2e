import { Redis } from 'ioredis';
import request from 'supertest';
import { bullJobId } from '../../lib/bullmq/index.js';
import type { JobRef } from '../../lib/index.js';
import { slots, termsOf } from '../../lib/testing/harness.js';
import { RedisServer, until } from '../support/redis-server.js';
import { describeWithRedis } from '../support/with-redis.js';
import { api as makeApi, workerOf } from './snippets/bullmq.js';

describeWithRedis('docs/reference/bullmq.md', () => {
  let server: RedisServer;
  let client: Redis;
  let api: ReturnType<typeof makeApi>;
  let worker: ReturnType<typeof workerOf> | undefined;
  let deleted: JobRef[];
  /** What the worker does with a job. */
  let encode: (file: string, signal?: AbortSignal) => Promise<void>;
  const errors: Error[] = [];

  const host = () => ({
    connection: { url: `redis://127.0.0.1:${server.port}` },
    client,
    log: { error: (error: Error) => void errors.push(error) },
    encode: (...args: Parameters<typeof encode>) => encode(...args),
    deleteResults: (ref: JobRef) => Promise.resolve(void deleted.push(ref)),
  });

  beforeAll(async () => {
    server = await RedisServer.start();
    client = new Redis(server.port);
  });
  beforeEach(async () => {
    await client.flushall();
    deleted = [];
    api = makeApi(host());
  });
  afterEach(async () => {
    await worker?.close();
    worker = undefined;
    await api.close();
    expect(errors).toEqual([]);
  });
  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });

  const create = async (path = '/jobs', key = 'k', status = 201): Promise<JobRef> => {
    const answer = request(api.app)
      .post(path)
      .set('authorization', 'Bearer acme')
      .set('idempotency-key', key);
    return { customer: 'acme', id: ((await answer.expect(status)).body as { id: string }).id };
  };
  const held = async (): Promise<number> => (await api.limits.usageOf('acme')).running.length;
  const state = async (ref: JobRef) => (await api.limits.jobs.get(ref))?.state;
  const stateIs = (ref: JobRef, wanted: string): Promise<void> =>
    until(async () => (await state(ref)) === wanted, wanted);

  it('a job holds its slot until it is done, and its results go with the job', async () => {
    const ref = await create();
    expect(await held()).toBe(1);
    encode = () => Promise.resolve();
    worker = workerOf(host());
    await stateIs(ref, 'completed');
    expect(await held()).toBe(0);

    await api.limits.expireNow(ref);
    const swept = async (): Promise<boolean> => (await api.sweeper.turn()) && deleted.length > 0;
    await until(swept, 'the deletion');
    expect(deleted).toEqual([ref]);
    expect(await api.queue.getJob(bullJobId(ref))).toBeUndefined();
    expect(await state(ref)).toBe('completed');
  });

  it('a job is cancelled where it waits, and where it runs', async () => {
    const waiting = await create();
    await api.cancel(waiting);
    expect(await state(waiting)).toBe('cancelled');
    expect(await api.queue.getWaitingCount()).toBe(0);

    let reason: unknown;
    encode = (_file, signal) =>
      new Promise((_, reject) =>
        signal!.addEventListener('abort', () => {
          reason = signal!.reason;
          reject(new Error('aborted'));
        }),
      );
    worker = workerOf(host());
    const running = await create();
    await until(async () => (await api.queue.getActiveCount()) === 1, 'the start');
    await api.cancel(running);
    expect(await held()).toBe(0);
    // Stands for the renewal of the lock, which comes after 15 seconds.
    worker.emit('locksRenewed', { count: 1, jobIds: [bullJobId(running)] });
    await until(() => reason !== undefined, 'the end of the job');
    expect(reason).toBe('finished');
    await until(async () => (await api.queue.getFailedCount()) === 1, "BullMQ's end");
    expect(await state(running)).toBe('cancelled');
  });

  it('reconcile gives a job in the queue its slot back, after the store lost it', async () => {
    const ref = await create();
    await api.limits.store.clear();
    expect(await held()).toBe(0);
    await api.reconcile('acme');
    expect(await held()).toBe(1);
    expect(await state(ref)).toBe('running');
  });

  it('a replay puts a job into the queue that never got there', async () => {
    // What a process leaves that dies between commit and add.
    const ref = { customer: 'acme', id: 'k' };
    await api.limits.store.admit({ ref, run: 'lost', terms: termsOf(slots(250)) });
    await api.limits.store.commit(ref);
    for (let time = 0; time < 2; time += 1) {
      await create('/encodings', 'k', 200);
      expect(await api.queue.getWaitingCount()).toBe(1);
    }
    await create('/encodings', 'other', 201);
    expect(await api.queue.getWaitingCount()).toBe(2);
    expect(await held()).toBe(2);
  });
});
