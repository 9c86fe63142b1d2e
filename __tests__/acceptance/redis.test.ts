import type { Express } from 'express';
import { Redis } from 'ioredis';
import request from 'supertest';
import { jobLimits, RedisStore, type JobLimits, type JobRef, type LimitsEvents } from '../../lib/index.js';
import { expressVersions } from '../support/apps.js';
import { until } from '../support/job-api.js';
import { RedisServer } from '../support/redis-server.js';
import { describeWithRedis } from '../support/with-redis.js';

describeWithRedis('two processes on one Redis', () => {
  let server: RedisServer;
  const clients: Redis[] = [];
  const all: JobLimits[] = [];

  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterEach(async () => {
    await Promise.all(all.splice(0).map((limits) => limits.close()));
    for (const client of clients.splice(0)) client.disconnect();
  });
  afterAll(() => server.stop());

  /** What one of two processes has: a connection, a store and an app of its own. */
  function processOf(express: () => Express, refusalCache = false) {
    const client = new Redis(server.port, '127.0.0.1', { maxRetriesPerRequest: 0, retryStrategy: () => 50 });
    client.on('error', () => undefined);
    const limits = jobLimits({
      store: new RedisStore({ client, timeoutMs: 500, refusalCache }),
      processes: 2,
      customer: () => 'acme',
      plans: { free: { creationRate: { limit: 100, window: '1m' }, concurrency: { limit: 4 } } },
    });
    clients.push(client);
    all.push(limits);
    const app = express();
    app.post('/jobs', limits.admission(), async (req, res) => {
      res.status(201).json(await limits.job(req).commit((ref) => ref));
    });
    app.post('/urls', limits.urlCount(), (_req, res) => void res.status(201).end());
    return { app, limits, client };
  }

  it.each(expressVersions)(
    'have each other’s overrides within a second, and one sum of quotas, on %s',
    async (_name, express) => {
      const [one, two] = [processOf(express, true), processOf(express, true)];
      await one.limits.reset();
      for (const { limits } of [one, two]) {
        limits.setPlans({
          free: {
            creationRate: { limit: 100, window: '1m' },
            quotas: { unit: 'jobs', limit: 3, per: 'month' },
            urlCount: { limit: 1 },
          },
        });
      }
      const urls = (app: Express) =>
        request(app)
          .post('/urls')
          .send({ urls: ['https://example.com/a', 'https://example.com/b'] });
      for (const { app } of [one, two, one]) expect((await post(app)).status).toBe(201);
      const refused = await post(two.app);
      expect(refused).toMatchObject({ status: 413, body: { error: 'QUOTA_EXCEEDED' } });
      expect((await urls(two.app)).status).toBe(413);

      const reason = 'a line\nand "another"';
      await one.limits.override('acme', {
        quotas: { limit: 4 },
        urlCount: { limit: 2 },
        reason,
        until: '1h',
      });
      await until(async () => (await urls(two.app)).status === 201);
      await until(async () => (await post(two.app)).status === 201);
      const told = await two.limits.overrideOf('acme');
      expect(told).toMatchObject({ reason, limits: { quotas: [{ limit: 4 }], urlCount: { limit: 2 } } });
      expect(await two.limits.overrides()).toEqual([told]);
      const { limits } = await two.limits.usageOf('acme');
      expect(limits.at(-1)).toMatchObject({ used: 4, limit: 4, overridden: true, per: 'month' });

      await two.limits.override('acme', null);
      await until(async () => (await urls(one.app)).status === 413);
      expect(await one.limits.overrideOf('acme')).toBeNull();
    },
  );

  const post = async (app: Express) => (await request(app).post('/jobs')) as { status: number; body: JobRef };

  it.each(expressVersions)(
    'share the limits, and finish each other’s jobs, on %s',
    async (_name, express) => {
      const [one, two] = [processOf(express), processOf(express)];
      await one.limits.reset();
      const jobs = [];
      for (const { app } of [one, two, one, two]) jobs.push(await post(app));
      expect(jobs.map(({ status }) => status)).toEqual([201, 201, 201, 201]);
      expect((await post(one.app)).status).toBe(413);
      expect((await post(two.app)).status).toBe(413);
      expect(await two.limits.finish(jobs[0]!.body, { state: 'completed' })).toBe('finished');
      expect(await one.limits.finish(jobs[0]!.body, { state: 'completed' })).toBe('already');
      expect((await post(one.app)).status).toBe(201);
      expect((await two.limits.usageOf('acme')).running).toHaveLength(4);
    },
  );

  it.each(expressVersions)(
    'go on with half of the limits each while Redis is away, on %s',
    async (_name, express) => {
      const [one, two] = [processOf(express), processOf(express)];
      await one.limits.reset();
      const switched: LimitsEvents['store-switched']['to'][] = [];
      one.limits.on('store-switched', ({ to }) => switched.push(to));
      await server.kill();
      for (const { app } of [one, two]) {
        for (const status of [201, 201, 413]) expect((await post(app)).status).toBe(status);
      }
      expect(switched).toEqual(['local']);
      const back = new Promise<void>((resolve) => one.limits.on('journal-written', () => resolve()));
      const alsoBack = new Promise<void>((resolve) => two.limits.on('journal-written', () => resolve()));
      await server.start();
      await Promise.all([back, alsoBack]);
      expect(switched).toEqual(['local', 'store']);
      expect((await one.limits.usageOf('acme')).running).toHaveLength(4);
      expect((await post(two.app)).status).toBe(413);
    },
  );
});
