import request from 'supertest';
import { MemoryStore, StoreError, usage } from '../../lib/index.js';
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
          admittedAt: '2026-01-01T00:00:00.000Z',
          startedAt: '2026-01-01T00:00:00.000Z',
          leaseUntil: '2026-01-01T08:00:00.000Z',
        },
      ],
    };
    for (let i = 0; i < 2; i += 1) {
      const answer = await request(app).get('/limits').expect(200);
      expect(answer.headers['cache-control']).toBe('no-store');
      expect(answer.body).toEqual(expected);
    }
    expect(await limits.usageOf('acme')).toEqual(expected);
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
