import request from 'supertest';
import { MemoryStore, StoreError, usage, type CustomerUsage } from '../../lib/index.js';
import { expressVersions, jsonErrors } from '../support/apps.js';
import { created, jobApi } from '../support/job-api.js';

describe.each(expressVersions)('usage on %s', (_name, express) => {
  it('shows the plan, each limit and who holds the slots, and charges nothing', async () => {
    const { app, limits, clock } = jobApi(express, ({ admission }) => [
      admission({ jobId: (req) => req.get('x-id')! }),
      created,
    ]);
    await request(app).post('/jobs').set('x-id', 'one').expect(201);
    clock.advance(20_000);
    const expected = {
      plan: 'free',
      limits: [
        {
          name: 'creation-rate',
          kind: 'creation-rate',
          limit: 5,
          used: 1,
          remaining: 4,
          resetIn: 40,
          window: 60,
          mode: 'enforce',
        },
        {
          name: 'concurrency',
          kind: 'concurrency',
          limit: 3,
          used: 1,
          remaining: 2,
          resetIn: null,
          window: null,
          mode: 'enforce',
        },
      ],
      running: [
        {
          id: 'one',
          state: 'running',
          age: 20,
          admittedAt: '2026-01-01T00:00:00.000Z',
          startedAt: '2026-01-01T00:00:00.000Z',
          leaseUntil: '2026-01-01T08:00:00.000Z',
        },
      ],
      kept: [],
    };
    for (let i = 0; i < 2; i += 1) {
      const answer = await request(app).get('/limits').expect(200);
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(answer.body).toEqual(expected);
    }
    expect(await limits.usageOf('acme')).toEqual(expected);
  });

  it('shows quotas with their periods, what is stored, which limits are overridden, and what is kept', async () => {
    const { app, limits, clock } = jobApi(
      express,
      ({ admission }) => [
        admission({ jobId: (req) => req.get('x-id')!, cost: () => ({ seconds: 90 }) }),
        created,
      ],
      {
        plans: {
          free: {
            quotas: [
              { unit: 'jobs', limit: 10, per: 'month' },
              { unit: 'seconds', limit: 100, per: 'day', mode: 'shadow' },
            ],
            storage: { unit: 'jobs', limit: 2 },
            jobRetention: { results: '7d', metadata: '90d' },
          },
        },
      },
    );
    await limits.override('acme', { quotas: { limit: 20, unit: 'jobs' } });
    await request(app).post('/jobs').set('x-id', 'one').expect(201);
    clock.advance(3_600_000);
    await limits.finish({ customer: 'acme', id: 'one' }, { state: 'failed' });
    const usage = (await request(app).get('/limits').expect(200)).body as CustomerUsage;
    expect(usage.limits.slice(2)).toEqual([
      {
        name: 'jobs-per-month',
        kind: 'quota',
        limit: 20,
        used: 1,
        remaining: 19,
        resetIn: 31 * 86_400 - 3600,
        window: null,
        mode: 'enforce',
        overridden: true,
        unit: 'jobs',
        per: 'month',
        resetsAt: '2026-02-01T00:00:00.000Z',
      },
      {
        name: 'seconds-per-day',
        kind: 'quota',
        limit: 100,
        used: 90,
        remaining: 10,
        resetIn: 23 * 3600,
        window: null,
        mode: 'shadow',
        unit: 'seconds',
        per: 'day',
        resetsAt: '2026-01-02T00:00:00.000Z',
      },
      {
        name: 'jobs-stored',
        kind: 'quota',
        limit: 2,
        used: 1,
        remaining: 1,
        resetIn: null,
        window: null,
        mode: 'enforce',
        unit: 'jobs',
        per: 'stored',
        resetsAt: null,
      },
    ]);
    expect(usage.running).toEqual([]);
    expect(usage.kept).toEqual([
      {
        id: 'one',
        state: 'failed',
        finishedAt: '2026-01-01T01:00:00.000Z',
        resultsExpireAt: '2026-01-08T01:00:00.000Z',
        metadataExpireAt: '2026-04-01T01:00:00.000Z',
        pinned: false,
      },
    ]);
  });

  it('shows the hundred kept jobs that expire first, by one call of the store', async () => {
    const { limits, store } = jobApi(express, () => [created], {
      plans: { free: { jobRetention: { results: '7d' } } },
    });
    for (let i = 150; i > 0; i -= 1) {
      const ref = { customer: 'acme', id: `job-${i}` };
      const retention = { resultsMs: i * 1000, metadataMs: i * 1000 };
      await store.finish(ref, { state: 'completed', retention });
    }
    let calls = 0;
    const usageOf = store.usage.bind(store);
    store.usage = (...of) => {
      calls += 1;
      return usageOf(...of);
    };
    const { kept } = await limits.usageOf('acme');
    expect(kept.map(({ id }) => id)).toEqual(Array.from({ length: 100 }, (_, i) => `job-${i + 1}`));
    expect(calls).toBe(1);
  });

  it('a customer without limits has null where a number would be', async () => {
    const app = express();
    app.get('/limits', usage({ customer: () => 'acme', store: new MemoryStore(), plan: {} }));
    const { limits } = (await request(app).get('/limits').expect(200)).body as { limits: object[] };
    expect(limits[0]).toMatchObject({ name: 'creation-rate', limit: null, used: 0, remaining: null });
  });

  it('a plan that cannot be found and a store that fails are told apart', async () => {
    const store = new MemoryStore();
    store.usage = () => Promise.reject(new StoreError('STORE_UNAVAILABLE', 'gone'));
    const app = express();
    app.get('/limits', usage({ customer: () => 'acme', store, plan: {} }));
    app.get('/broken', usage({ customer: () => 'acme', store, plan: () => Promise.reject(new Error('db')) }));
    jsonErrors(app);
    expect((await request(app).get('/limits').expect(503)).body).toMatchObject({
      error: 'STORE_UNAVAILABLE',
    });
    expect((await request(app).get('/broken').expect(500)).body).toMatchObject({ code: 'PLAN_FAILED' });
  });
});
