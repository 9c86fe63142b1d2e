import { Redis } from 'ioredis';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import request from 'supertest';
import {
  jobLimits,
  MemoryStore,
  RedisStore,
  type JobLimitsOptions,
  type LimitStore,
} from '../../lib/index.js';
import { expressVersions } from '../support/apps.js';
import { created } from '../support/job-api.js';
import { collectMetrics } from '../support/metrics.js';
import { RedisServer, until } from '../support/redis-server.js';
import { describeWithRedis } from '../support/with-redis.js';

const [, express] = expressVersions[1]!;

function apiOn(store: LimitStore, options: Partial<JobLimitsOptions> = {}) {
  const { meterProvider, series, collect } = collectMetrics();
  const limits = jobLimits({
    store,
    customer: () => 'acme',
    plans: { free: { concurrency: { limit: 100 } } },
    telemetry: { meterProvider },
    ...options,
  });
  const app = express();
  app.post('/jobs', limits.admission({ jobId: (req) => req.get('x-id')! }), created);
  const create = async (id: string) => (await request(app).post('/jobs').set('x-id', id)).status;
  return { series, collect, limits, app, create };
}

describeWithRedis('metrics of a store that can be out of reach', () => {
  let server: RedisServer;
  let client: Redis;
  let store: RedisStore;

  beforeEach(async () => {
    server = await RedisServer.start();
    client = new Redis(server.port, { maxRetriesPerRequest: 0, disconnectTimeout: 1 });
    client.on('error', () => {});
    store = new RedisStore({ client });
  });

  afterEach(async () => {
    client.disconnect();
    await server.stop();
  });

  it('show how long it takes, that it fails, what stands in for it, and its return', async () => {
    const { series, limits, create } = apiOn(store, { processes: 1 });
    expect(await create('a')).toBe(201);
    await limits.finish({ customer: 'acme', id: 'a' }, { state: 'completed' });
    await limits.usageOf('acme');
    const calm = {
      'store.duration{operation=admit}': 1,
      'store.duration{operation=commit}': 1,
      'store.duration{operation=finish}': 1,
      'store.duration{operation=usage}': 1,
    };
    expect(await series('store')).toEqual(calm);

    await server.kill();
    expect(await create('b')).toBe(201);
    await until(async () => (await series('store'))['store.switches{to=local}'] === 1, 'the switch');
    expect(await series('store')).toMatchObject({
      ...calm,
      'store.errors{operation=admit,error.type=STORE_UNAVAILABLE}': 1,
    });

    await server.start();
    await until(async () => (await series('store'))['store.switches{to=store}'] === 1, 'the return');
    expect(await series('store')).toMatchObject({
      'store.journal{entry=adopted}': 1,
      'store.journal{entry=dropped}': 0,
    });
    await limits.close();
  });

  it('count a failure once that both the store and a middleware tell of', async () => {
    const { series, limits, create } = apiOn(store);
    await server.kill();
    const told: unknown[] = [];
    limits.on('store-error', ({ operation }) => told.push(operation));
    expect(await create('a')).toBe(503);
    expect(told).toEqual(['admit', 'admit']);
    expect(await series('store.errors')).toEqual({
      'store.errors{operation=admit,error.type=STORE_UNAVAILABLE}': 1,
    });
    await limits.close();
  });

  it('give the duration in seconds', async () => {
    const { collect, limits, create } = apiOn(store);
    let toldMs = 0;
    limits.on('store-answered', ({ operation, durationMs }) => {
      if (operation === 'admit') toldMs += durationMs;
    });
    await create('a');
    const metrics = (await collect()).scopeMetrics.flatMap((scope) => scope.metrics);
    const { descriptor, dataPoints } = metrics.find(
      (metric) => metric.descriptor.name === 'job_limits.store.duration',
    )!;
    const of = dataPoints.find(({ attributes }) => attributes['operation'] === 'admit')!;
    expect(descriptor.unit).toBe('s');
    expect((of.value as { sum: number }).sum).toBeCloseTo(toldMs / 1000, 9);
    expect(toldMs).toBeGreaterThan(0);
    await limits.close();
  });
});

describe('metrics of a MemoryStore', () => {
  it('show that it is full and what it forgot, and no durations', async () => {
    const store = new MemoryStore({ maxJobs: 2 });
    const { series, limits, create } = apiOn(store);
    expect([await create('a'), await create('b'), await create('c')]).toEqual([201, 201, 503]);
    await limits.finish({ customer: 'acme', id: 'a' }, { state: 'completed' });
    expect(await create('d')).toBe(201);
    expect(await series('store')).toEqual({
      'store.errors{operation=admit,error.type=STORE_FULL}': 1,
      'store.records_dropped{}': 1,
    });
    await limits.close();
    await store.close();
  });
});

it('errors of other libraries have no type of their own', async () => {
  const { series, limits, app } = apiOn(new MemoryStore());
  const limiter = new RateLimiterMemory({ points: 1, duration: 1 });
  limiter.consume = () => Promise.reject(new RangeError('at acme'));
  app.get('/jobs', limits.requestRate({ limiter }), created);
  await request(app).get('/jobs').expect(503);
  expect(await series('store')).toEqual({ 'store.errors{operation=requestRate,error.type=_OTHER}': 1 });
  await limits.close();
});
