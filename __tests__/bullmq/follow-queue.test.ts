import { FlowProducer, UnrecoverableError } from 'bullmq';
import { bullJobId, followQueue, type FollowQueueOptions } from '../../lib/bullmq/index.js';
import { MemoryStore, StoreError, type JobRef } from '../../lib/index.js';
import { HOUR, slots, termsOf } from '../../lib/testing/harness.js';
import { bullScene, HEARTBEAT_MS, type BullScene } from '../support/bullmq.js';
import { RedisServer, until } from '../support/redis-server.js';
import { describeWithRedis } from '../support/with-redis.js';

describeWithRedis('followQueue', () => {
  let server: RedisServer;
  let scene: BullScene;
  let followed: { stop(): Promise<void> } | undefined;

  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());
  afterEach(async () => {
    await followed?.stop();
    followed = undefined;
    await scene.close();
  });

  const follow = async (options: Partial<FollowQueueOptions> = {}): Promise<void> => {
    const queueEvents = scene.events();
    followed = followQueue({ lifecycle: scene.lifecycle, queueEvents, ...options });
    await queueEvents.waitUntilReady();
    // Its first read says where it begins: it has to be under way.
    await until(async () => (await server.cli('CLIENT', 'LIST')).includes('cmd=xread'), 'the first read');
  };
  const ended = (id: string): Promise<void> =>
    until(() => scene.finishes.some((finish) => finish.id === id), `the end of ${id}`);

  it('finishes a completed job, with the units that it used', async () => {
    const quota = {
      kind: 'quota',
      name: 'audio',
      unit: 'seconds',
      per: 'month',
      limit: 100,
      mode: 'enforce',
    } as const;
    const terms = termsOf(slots(1), quota);
    scene = bullScene(server.port, { terms });
    await follow({ units: ({ returnvalue }) => returnvalue as Record<string, number> });
    const ref = await scene.add('one');
    scene.worker(() => Promise.resolve({ seconds: 42 }));
    await ended('one');
    expect(scene.finishes).toEqual([{ id: 'one', answer: 'finished', state: 'completed' }]);
    const { limits } = await scene.store.usage(ref.customer, terms.limits);
    expect(limits.map(({ used }) => used)).toEqual([0, 42]);
  });

  it('holds the slot over the attempts of a failing job, and finishes it once', async () => {
    scene = bullScene(server.port);
    await follow();
    let attempts = 0;
    scene.worker(() => {
      attempts += 1;
      return Promise.reject(new Error('no'));
    });
    const ref = await scene.add('one', { attempts: 3, backoff: { type: 'fixed', delay: HOUR } });
    for (const attempt of [1, 2]) {
      await until(
        async () => attempts === attempt && (await scene.queue.getDelayedCount()) === 1,
        'the delay',
      );
      expect((await scene.job(ref)).leaseUntil).toBeDefined();
      await (await scene.queue.getJob(bullJobId(ref)))!.promote();
    }
    await ended('one');
    expect(attempts).toBe(3);
    // What comes after it in the queue's events has come: nothing more was said of it.
    await scene.add('two', { attempts: 1 });
    await ended('two');
    expect(scene.finishes).toEqual([
      { id: 'one', answer: 'finished', state: 'failed' },
      { id: 'two', answer: 'finished', state: 'failed' },
    ]);
  });

  it('finishes a job that fails for good before its last attempt', async () => {
    scene = bullScene(server.port);
    await follow();
    await scene.add('one', { attempts: 3 });
    scene.worker(() => Promise.reject(new UnrecoverableError('never')));
    await ended('one');
    expect(scene.finishes).toEqual([{ id: 'one', answer: 'finished', state: 'failed' }]);
  });

  it('finishes a job that is removed as cancelled, unless it had ended', async () => {
    scene = bullScene(server.port);
    await follow();
    const one = await scene.add('one');
    await scene.queue.remove(bullJobId(one));
    await ended('one');
    const two = await scene.add('two');
    scene.worker(() => Promise.resolve());
    await ended('two');
    await scene.queue.remove(bullJobId(two));
    await scene.add('three');
    await ended('three');
    expect(scene.finishes).toEqual([
      { id: 'one', answer: 'finished', state: 'cancelled' },
      { id: 'two', answer: 'finished', state: 'completed' },
      { id: 'three', answer: 'finished', state: 'completed' },
    ]);
  });

  it('knows a job by its id alone, where BullMQ keeps nothing of it', async () => {
    scene = bullScene(server.port);
    await follow();
    await scene.add('one', { removeOnComplete: true });
    scene.worker(() => Promise.resolve());
    await ended('one');
    expect(scene.finishes).toEqual([{ id: 'one', answer: 'finished', state: 'completed' }]);
  });

  it('leaves other jobs of the queue alone', async () => {
    scene = bullScene(server.port);
    await follow({ queue: scene.queue });
    await scene.queue.add('other', {});
    await scene.queue.add('other', {}, { jobId: 'nightly' });
    await scene.add('one');
    scene.worker(() => Promise.resolve());
    await ended('one');
    expect(scene.finishes.map(({ id }) => id)).toEqual(['one']);
    expect(scene.errors).toEqual([]);
  });

  it('is told later what ended while nobody listened', async () => {
    scene = bullScene(server.port);
    await scene.add('one');
    scene.worker(() => Promise.resolve());
    await until(async () => (await scene.queue.getCompletedCount()) === 1, 'the job');
    await follow({ queueEvents: scene.events({ lastEventId: String(Date.now() - HOUR) }) });
    await ended('one');
    expect(scene.finishes).toEqual([{ id: 'one', answer: 'finished', state: 'completed' }]);
  });

  it('tries again when the store fails', async () => {
    let failures = 2;
    class FailingStore extends MemoryStore {
      override async finish(...args: Parameters<MemoryStore['finish']>) {
        if (failures-- > 0) throw new StoreError('STORE_UNAVAILABLE', 'away');
        return super.finish(...args);
      }
    }
    scene = bullScene(server.port, { store: new FailingStore() });
    await follow();
    await scene.add('one');
    scene.worker(() => Promise.resolve());
    await ended('one');
    expect(scene.errors).toMatchObject([{ code: 'STORE_UNAVAILABLE' }, { code: 'STORE_UNAVAILABLE' }]);
  });

  it.each<[string, NonNullable<FollowQueueOptions['units']>]>([
    ['are no numbers', () => ({ seconds: NaN })],
    [
      'throw',
      () => {
        throw new Error('JOB_UNITS_INVALID');
      },
    ],
  ])('frees the slot all the same where units %s', async (_, units) => {
    scene = bullScene(server.port);
    await follow({ units });
    const ref = await scene.add('one');
    scene.worker(() => Promise.resolve());
    await ended('one');
    expect((await scene.job(ref)).state).toBe('completed');
    expect(scene.errors.map(String)).toEqual([
      expect.stringMatching(/JOB_UNITS_INVALID|finish\(ref, \{ units/),
    ]);
  });

  it('renews jobs that wait, however they do, and lets go of those that are drained', async () => {
    scene = bullScene(server.port);
    const parent: JobRef = { customer: 'acme', id: 'parent' };
    const refs = [
      await scene.add('waiting'),
      await scene.add('delayed', { delay: HOUR }),
      await scene.add('prioritized', { priority: 5 }),
    ];
    const flows = new FlowProducer({ connection: { host: '127.0.0.1', port: server.port } });
    await scene.store.admit({
      ref: parent,
      run: 'parent',
      terms: termsOf(slots(1, { heartbeatMs: HEARTBEAT_MS })),
    });
    await scene.store.commit(parent);
    await flows.add({
      name: 'flow',
      queueName: scene.queue.name,
      opts: { jobId: bullJobId(parent) },
      children: [{ name: 'child', queueName: `${scene.queue.name}-children` }],
    });
    await flows.close();
    refs.push(parent);
    await follow({ queue: scene.queue, every: 100 });

    const leases = async (): Promise<unknown[]> =>
      Promise.all(refs.map(async (ref) => (await scene.job(ref)).leaseUntil));
    const renewed = (): Promise<void> =>
      until(
        async () =>
          (await leases()).every((leaseUntil) => leaseUntil === scene.clock.wallNow() + HEARTBEAT_MS),
        'the renewals',
      );
    for (let beats = 0; beats < 3; beats += 1) {
      scene.clock.advance(HEARTBEAT_MS - 1);
      await renewed();
    }
    // Draining tells nobody which jobs go.
    await scene.queue.drain(true);
    const after = await scene.add('after');
    scene.clock.advance(HEARTBEAT_MS - 1);
    await until(
      async () => (await scene.job(after)).leaseUntil === scene.clock.wallNow() + HEARTBEAT_MS,
      'a turn after it',
    );
    scene.clock.advance(2);
    const [waiting, delayed, prioritized] = await leases();
    expect([waiting, delayed, prioritized]).toEqual([undefined, undefined, undefined]);
    expect((await scene.job(after)).leaseUntil).toBeDefined();
    expect(scene.finishes).toEqual([]);
  });

  it('does nothing more once it is stopped', async () => {
    scene = bullScene(server.port);
    await follow({ queue: scene.queue, every: 100 });
    await followed!.stop();
    const queueEvents = scene.events({ lastEventId: '0' });
    const told = new Promise((resolve) => queueEvents.on('completed', resolve));
    await scene.add('one');
    scene.worker(() => Promise.resolve());
    await told;
    expect(scene.finishes).toEqual([]);
  });

  it('checks its options', () => {
    scene = bullScene(server.port);
    const { lifecycle } = scene;
    const queueEvents = scene.events();
    expect(() => followQueue({ lifecycle } as never)).toThrow(/followQueue.queueEvents/);
    expect(() => followQueue({ lifecycle, queueEvents, evry: 1 } as never)).toThrow(/did you mean 'every'/);
    expect(() => followQueue({ lifecycle, queueEvents, every: 99 })).toThrow(/at least 100 ms/);
  });
});
