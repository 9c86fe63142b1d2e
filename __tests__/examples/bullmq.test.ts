import { Queue } from 'bullmq';
import type { CustomerUsage, JobState } from '../../lib/index.js';
import { RedisServer, until as untilReady } from '../support/redis-server.js';
import { spawned, type Spawned } from '../support/spawned.js';
import { describeWithRedis } from '../support/with-redis.js';

// Each start is a process of its own, which on a busy machine takes seconds.
jest.setTimeout(90_000);
const until = (holds: () => Promise<boolean> | boolean, what: string) => untilReady(holds, what, 30_000);

const HEARTBEAT_MS = 2_000;
const FOR_EVER = '2147483647';

describeWithRedis('examples/bullmq', () => {
  let redis: RedisServer;
  let queue: Queue;
  let running: Spawned[] = [];

  beforeAll(async () => {
    redis = await RedisServer.start();
    queue = new Queue('encode', { connection: { host: '127.0.0.1', port: redis.port } });
  });
  afterEach(async () => {
    await Promise.all(running.map((child) => child.stop()));
    running = [];
    await redis.cli('FLUSHALL');
  });
  afterAll(async () => {
    await queue.close();
    await redis.stop();
  });

  /** Starts a program of the example on the sources, so that the test needs no build. */
  const start = (program: 'server' | 'worker', env: Record<string, string> = {}): Spawned => {
    const child = spawned(process.execPath, ['--import', 'tsx', `examples/bullmq/${program}.ts`], {
      REDIS_URL: `redis://127.0.0.1:${redis.port}`,
      HEARTBEAT_MS: String(HEARTBEAT_MS),
      PORT: '0',
      ...env,
    });
    running.push(child);
    return child;
  };
  const startWorker = async (jobMs: string): Promise<Spawned> => {
    const worker = start('worker', { JOB_MS: jobMs });
    await worker.printed(/takes jobs/);
    return worker;
  };

  interface Api {
    server: Spawned;
    call(method: string, path: string, body?: object): Promise<Response>;
    create(body?: object): Promise<string>;
    state(id: string): Promise<JobState>;
    /** The jobs that hold the customer's slots. */
    held(): Promise<CustomerUsage['running']>;
  }
  const startApi = async (env: Record<string, string> = {}): Promise<Api> => {
    const server = start('server', env);
    const [url] = await server.printed(/http:\/\/127\.0\.0\.1:\d+/);
    const call: Api['call'] = (method, path, body) =>
      fetch(`${url}${path}`, {
        method,
        headers: { Authorization: 'Bearer acme', 'Content-Type': 'application/json' },
        ...(body && { body: JSON.stringify(body) }),
      });
    const json = async <T>(path: string): Promise<T> => (await (await call('GET', path)).json()) as T;
    return {
      server,
      call,
      async create(body) {
        const response = await call('POST', '/jobs', body);
        expect(response.status).toBe(201);
        return ((await response.json()) as { id: string }).id;
      },
      state: async (id) => (await json<{ state: JobState }>(`/jobs/${id}`)).state,
      held: async () => (await json<CustomerUsage>('/limits')).running,
    };
  };
  const noSlotHeld = (api: Api): Promise<void> =>
    until(async () => (await api.held()).length === 0, 'all slots to be free');
  /** Waits until the lease that a job has now was renewed. */
  const renewed = async (api: Api, id: string): Promise<void> => {
    const leaseUntil = async () => (await api.held()).find((job) => job.id === id)?.leaseUntil ?? '';
    const now = await leaseUntil();
    expect(now).not.toBe('');
    await until(async () => (await leaseUntil()) > now, 'a renewal');
  };
  /** What the server said of a job's end, each time. */
  const finishes = (api: Api, id: string): string[] =>
    [...api.server.output().matchAll(new RegExp(`^${id}@acme: (\\w+, \\w+)$`, 'gm'))].map(
      ([, said]) => said!,
    );

  it('frees the slots of jobs that are done, and not of those that wait', async () => {
    const api = await startApi();
    const ids = [await api.create(), await api.create()];
    const refused = await api.call('POST', '/jobs');
    expect(refused.status).toBe(413);
    expect(await refused.json()).toMatchObject({
      error: 'RATE_LIMIT_REACHED',
      info: { limit: 'concurrency' },
    });
    // No worker has them yet.
    for (const id of ids) await renewed(api, id);

    await startWorker('50');
    await noSlotHeld(api);
    for (const id of ids) {
      expect(await api.state(id)).toBe('completed');
      expect(finishes(api, id)).toEqual(['completed, finished']);
      const result = await api.call('GET', `/jobs/${id}/result`);
      expect(result.status).toBe(200);
      expect(result.headers.get('sunset')).not.toBeNull();
    }
    await api.create();
    api.server.process.kill('SIGTERM');
    expect(await api.server.ended()).toBe(0);
  });

  it('frees the slot of a worker that is killed; another does the job, and nothing breaks', async () => {
    const api = await startApi();
    const first = await startWorker(FOR_EVER);
    const lost = await api.create();
    await first.printed(new RegExp(`${lost}@acme: start 1`));
    await renewed(api, lost);
    first.process.kill('SIGKILL');
    await first.ended();
    const [held] = await api.held();
    expect(Date.parse(held?.leaseUntil ?? '')).toBeLessThanOrEqual(Date.now() + HEARTBEAT_MS);
    await noSlotHeld(api);
    expect(await api.state(lost)).toBe('running');
    const others = [await api.create(), await api.create()];

    const second = await startWorker('50');
    await second.printed(new RegExp(`${lost}@acme: completed`));
    await noSlotHeld(api);
    for (const id of [lost, ...others]) {
      expect(await api.state(id)).toBe('completed');
      expect(finishes(api, id)).toEqual(['completed, finished']);
    }
    expect(second.output()).toContain(`${lost}@acme: start 2`);
    await api.create();
    second.process.kill('SIGTERM');
    expect(await second.ended()).toBe(0);
  });

  it('keeps the slot of a job whose worker is killed while another is there to take it', async () => {
    // A heartbeat longer than it takes BullMQ to see that the worker is gone.
    const api = await startApi({ HEARTBEAT_MS: '60000' });
    const first = await startWorker(FOR_EVER);
    const id = await api.create();
    await first.printed(new RegExp(`${id}@acme: start 1`));
    const second = await startWorker(FOR_EVER);
    first.process.kill('SIGKILL');
    let taken = false;
    void second.printed(new RegExp(`${id}@acme: start 2`)).then(() => (taken = true));
    while (!taken) expect((await api.held()).map((job) => job.id)).toEqual([id]);
    await renewed(api, id);
  });

  it('takes no notice of a worker that comes back when another did its job', async () => {
    const api = await startApi();
    const frozen = await startWorker('5000');
    const id = await api.create();
    await frozen.printed(new RegExp(`${id}@acme: start 1`));
    frozen.process.kill('SIGSTOP');
    const other = await startWorker('0');
    await other.printed(new RegExp(`${id}@acme: completed`));
    await noSlotHeld(api);
    frozen.process.kill('SIGCONT');
    // BullMQ refuses its result.
    await frozen.printed(/Missing lock for job|could not renew lock/);
    frozen.process.kill('SIGTERM');
    expect(await frozen.ended()).toBe(0);
    expect(await api.held()).toEqual([]);
    expect(await api.state(id)).toBe('completed');
    expect(finishes(api, id)).toEqual(['completed, finished']);
  });

  it('holds the slot of a failing job over its attempts, and finishes it once', async () => {
    const api = await startApi();
    await startWorker('0');
    const id = await api.create({ failures: 3 });
    for (const attempt of [1, 2]) {
      const job = (await queue.getJob(`${id}@acme`))!;
      await until(
        async () => (await queue.getJob(job.id!))!.attemptsMade === attempt && job.isDelayed(),
        `the delay after attempt ${attempt}`,
      );
      await renewed(api, id);
      await job.promote();
    }
    await noSlotHeld(api);
    expect(await api.state(id)).toBe('failed');
    expect(finishes(api, id)).toEqual(['failed, finished']);
  });

  it('ends a cancelled job where it runs', async () => {
    const api = await startApi();
    const worker = await startWorker(FOR_EVER);
    const id = await api.create();
    await worker.printed(new RegExp(`${id}@acme: start 1`));
    expect((await api.call('DELETE', `/jobs/${id}`)).status).toBe(202);
    expect(await api.held()).toEqual([]);
    await worker.printed(new RegExp(`${id}@acme: finished`));
    await api.server.printed(new RegExp(`${id}@acme: failed, already`));
    expect(await api.state(id)).toBe('cancelled');
  });

  it('learns what ended while no server was there', async () => {
    const killed = await startApi();
    const id = await killed.create();
    killed.server.process.kill('SIGKILL');
    await killed.server.ended();
    const worker = await startWorker('0');
    await worker.printed(new RegExp(`${id}@acme: completed`));
    const api = await startApi();
    await until(async () => (await api.state(id)) === 'completed', 'the end');
    await noSlotHeld(api);
  });

  it("deletes a job's results and BullMQ's job when their time is over", async () => {
    const api = await startApi({ KEPT_MS: '1000' });
    await startWorker('0');
    const id = await api.create();
    const result = () => api.call('GET', `/jobs/${id}/result`);
    await until(async () => (await result()).status === 410, 'the expiry');
    expect(await (await result()).json()).toMatchObject({ error: 'JOB_EXPIRED' });
    await api.server.printed(new RegExp(`${id}@acme: results deleted`));
    expect(await redis.cli('EXISTS', `results:${id}@acme`)).toBe('0');
    expect(await queue.getJob(`${id}@acme`)).toBeUndefined();
    expect(await api.state(id)).toBe('completed');
    expect(finishes(api, id)).toEqual(['completed, finished']);
  });

  it.each(['server', 'worker'] as const)('the %s says that it needs Redis', async (program) => {
    const child = start(program, { REDIS_URL: 'redis://127.0.0.1:1' });
    expect(await child.ended()).toBe(1);
    expect(child.output()).toBe(
      'Redis: connect ECONNREFUSED 127.0.0.1:1\n' +
        'The example needs Redis: start a redis-server, or set REDIS_URL to where one is.\n',
    );
  });
});
