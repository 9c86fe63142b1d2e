import { writeFileSync } from 'node:fs';
import { join } from 'node:path';
import { bullJobId, followWorker } from '../../lib/bullmq/index.js';
import { MemoryStore, StoreError, type JobRef } from '../../lib/index.js';
import { deferred } from '../support/apps.js';
import { bullScene, HEARTBEAT_MS, type BullScene } from '../support/bullmq.js';
import { RedisServer, until } from '../support/redis-server.js';
import { describeWithRedis } from '../support/with-redis.js';

describeWithRedis('followWorker', () => {
  let server: RedisServer;
  let scene: BullScene;
  let done: ReturnType<typeof deferred<void>>;

  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());
  beforeEach(() => {
    done = deferred();
  });
  afterEach(async () => {
    done.resolve();
    await scene.close();
  });

  /** A worker whose jobs run until `done`, and whose locks are renewed some times a second. */
  const work = (lockDuration = 600) => {
    const worker = scene.worker(() => done.promise, { lockDuration });
    followWorker({ lifecycle: scene.lifecycle, worker });
    return worker;
  };
  const renewed = (ref: JobRef): Promise<void> =>
    until(
      async () => (await scene.job(ref)).leaseUntil === scene.clock.wallNow() + HEARTBEAT_MS,
      'the renewal',
    );

  it('gives a job its slot back when the worker takes it', async () => {
    scene = bullScene(server.port);
    const ref = await scene.add('one');
    scene.clock.advance(HEARTBEAT_MS + 1);
    expect((await scene.job(ref)).leaseUntil).toBeUndefined();
    const answers: string[] = [];
    scene.lifecycle.on('renew', ({ answer }) => answers.push(answer));
    work(60_000);
    await renewed(ref);
    expect(answers).toEqual(['reinstated']);
  });

  it('renews a job as often as BullMQ renews its lock', async () => {
    scene = bullScene(server.port);
    const ref = await scene.add('one');
    work();
    for (let beats = 0; beats < 3; beats += 1) {
      await renewed(ref);
      scene.clock.advance(HEARTBEAT_MS - 1);
    }
  });

  it('renews jobs whose processor has a process of its own', async () => {
    scene = bullScene(server.port);
    const file = join(server.folder, 'done');
    const ref = await scene.add('one', {}, { file });
    const worker = scene.worker(join(__dirname, '../support/bullmq-processor.cjs'), { lockDuration: 600 });
    followWorker({ lifecycle: scene.lifecycle, worker });
    const completed = new Promise((resolve) => worker.once('completed', resolve));
    for (let beats = 0; beats < 3; beats += 1) {
      await renewed(ref);
      scene.clock.advance(HEARTBEAT_MS - 1);
    }
    writeFileSync(file, '');
    await completed;
  });

  it('renews it no more once the lock is lost', async () => {
    scene = bullScene(server.port);
    const ref = await scene.add('one');
    const worker = work();
    await new Promise((resolve) => worker.once('locksRenewed', resolve));
    // As if another worker had it.
    const lock = `${scene.queue.toKey(bullJobId(ref))}:lock`;
    await server.cli('SET', lock, 'another');
    await new Promise((resolve) => worker.once('lockRenewalFailed', resolve));
    await renewed(ref);
    scene.clock.advance(HEARTBEAT_MS - 1);
    await new Promise((resolve) => worker.once('lockRenewalFailed', resolve));
    scene.clock.advance(2);
    expect((await scene.job(ref)).leaseUntil).toBeUndefined();
    await server.cli('DEL', lock);
  });

  it('does a job no harm where the store fails', async () => {
    class FailingStore extends MemoryStore {
      override renew(): Promise<never> {
        return Promise.reject(new StoreError('STORE_UNAVAILABLE', 'away'));
      }
    }
    scene = bullScene(server.port, { store: new FailingStore() });
    const ref = await scene.add('one');
    const worker = work();
    const completed = new Promise((resolve) => worker.once('completed', resolve));
    await until(() => scene.errors.length >= 2, 'two failures');
    expect(scene.errors[0]).toMatchObject({ code: 'STORE_UNAVAILABLE' });
    done.resolve();
    await completed;
    expect(await scene.queue.getJobState(bullJobId(ref))).toBe('completed');
  });

  it('leaves other jobs alone', async () => {
    scene = bullScene(server.port);
    const renewals: string[] = [];
    scene.lifecycle.on('renew', ({ ref }) => renewals.push(ref.id));
    const worker = work();
    await scene.queue.add('other', {});
    await new Promise((resolve) => worker.once('locksRenewed', resolve));
    expect(renewals).toEqual([]);
    expect(scene.errors).toEqual([]);
  });

  it('checks its options', () => {
    scene = bullScene(server.port);
    expect(() => followWorker({ lifecycle: scene.lifecycle } as never)).toThrow(/followWorker.worker/);
  });
});
