import request from 'supertest';
import {
  concurrency,
  creationRate,
  jobLimits,
  ManualClock,
  MemoryStore,
  type AdmittedJob,
  type CustomerOf,
} from '../../lib/index.js';
import { expressVersions, jsonErrors } from '../support/apps.js';
import { created } from '../support/job-api.js';

const customer: CustomerOf = (req) => req.get('x-customer') ?? 'acme';

describe.each(expressVersions)('several limits on one route, on %s', (_name, express) => {
  const usedOf = async (store: MemoryStore, who = 'acme') => {
    const { limits, running } = await store.usage(who, [
      { kind: 'creation-rate', name: 'creation-rate', limit: 9, windowMs: 60_000, mode: 'enforce' },
      { kind: 'concurrency', name: 'concurrency', limit: 9, maxRunMs: 1000, mode: 'enforce' },
    ]);
    return [...limits.map(({ used }) => used), running.length];
  };

  it('are one job: charged together, and refunded when a later one refuses', async () => {
    const store = new MemoryStore({ clock: new ManualClock() });
    const app = express();
    app.post(
      '/jobs',
      creationRate({ store, customer, limit: 10, window: '1m' }),
      concurrency({ store, customer, limit: 1, hold: 'job' }),
      created,
    );
    const first = await request(app).post('/jobs').expect(201);
    expect(first.headers['ratelimit']).toBe('"creation-rate";r=9;t=60, "concurrency";r=0');
    expect(await usedOf(store)).toEqual([1, 1, 1]);
    const refused = await request(app).post('/jobs').expect(413);
    expect((refused.body as { info: unknown }).info).toEqual({
      retryIn: 10,
      estimated: true,
      limit: 'concurrency',
    });
    expect(await usedOf(store)).toEqual([1, 1, 1]);
  });

  it('refund the earlier ones whatever status the refusal is answered with', async () => {
    const store = new MemoryStore({ clock: new ManualClock() });
    const app = express();
    app.post(
      '/jobs',
      creationRate({ store, customer, limit: 10, window: '1m' }),
      concurrency({
        store,
        customer,
        limit: 0,
        hold: 'job',
        responses: ({ code }) => ({ status: 200, headers: {}, body: { ok: false, code } }),
      }),
      created,
    );
    await request(app).post('/jobs').expect(200, { ok: false, code: 'LIMIT_BLOCKED' });
    expect(await usedOf(store)).toEqual([0, 0, 0]);
  });

  it('two rates have two names, and both hold', async () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const app = express();
    app.post(
      '/jobs',
      creationRate({ store, customer, limit: 2, window: '1s', name: 'burst' }),
      creationRate({ store, customer, limit: 3, window: '1m' }),
      created,
    );
    for (const status of [201, 201, 413]) await request(app).post('/jobs').expect(status);
    clock.advance(1000);
    await request(app).post('/jobs').expect(201);
    const refused = await request(app).post('/jobs').expect(413);
    expect((refused.body as { info: unknown }).info).toEqual({ retryIn: 59, limit: 'creation-rate' });
  });

  it('key(req) counts each model apart within the customer', async () => {
    const store = new MemoryStore({ clock: new ManualClock() });
    const app = express();
    app.post(
      '/jobs/:model',
      creationRate({ store, customer, limit: 3, window: '1m' }),
      concurrency({
        store,
        customer,
        limit: 1,
        hold: 'job',
        name: 'per-model',
        key: (req) => String(req.params['model']),
      }),
      created,
    );
    await request(app).post('/jobs/whisper').expect(201);
    await request(app).post('/jobs/whisper').expect(413);
    await request(app).post('/jobs/nova').expect(201);
    await request(app).post('/jobs/other').expect(201);
    await request(app).post('/jobs/another').expect(413);
  });

  it('of one name and other numbers are warned about, once', async () => {
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation();
    const store = new MemoryStore({ clock: new ManualClock() });
    for (const limit of [3, 3, 4, 5]) creationRate({ store, customer, limit, window: '1m' });
    creationRate({ store, customer, limit: 9, window: '1m', name: 'other' });
    expect(warn.mock.calls.map(([, options]) => options)).toEqual([{ code: 'LIMIT_NAME_REUSED' }]);
    warn.mockRestore();
  });

  it('of the name of a plan’s limit and other numbers too', () => {
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation();
    const limits = jobLimits({
      customer,
      plans: { a: { creationRate: { limit: 5, window: '1m' } }, b: { concurrency: { limit: 3 } } },
      plan: () => 'a',
    });
    limits.creationRate({ limit: 5, window: '1m' });
    limits.concurrency({ limit: 3, hold: 'job', name: 'by-route' });
    expect(warn).not.toHaveBeenCalled();
    limits.creationRate({ limit: 5, window: '1s' });
    limits.concurrency({ limit: 2, hold: 'job' });
    expect(warn.mock.calls.map(([message]) => /named '([^']+)'/.exec(message as string)![1])).toEqual([
      'creation-rate',
      'concurrency',
    ]);
    warn.mockRestore();
  });

  it('two jobLimits on one app are two jobs, each with its own customer', async () => {
    const make = (by: string) =>
      jobLimits({
        clock: new ManualClock(),
        customer: (req) => req.get(by),
        plans: { one: { creationRate: { limit: 2, window: '1m' } } },
        requestProperty: { job: `${by}Job` },
      });
    const [user, team] = [make('user'), make('team')];
    const seen: AdmittedJob[] = [];
    const app = express();
    app.post('/jobs', user.admission(), team.admission(), (req, res) => {
      seen.push(user.job(req), team.job(req));
      expect((req as unknown as { teamJob: AdmittedJob }).teamJob).toBe(team.job(req));
      res.status(201).end();
    });
    await request(app).post('/jobs').set({ user: 'ann', team: 'red' }).expect(201);
    expect(seen.map(({ ref }) => ref.customer)).toEqual(['ann', 'red']);
    await request(app).post('/jobs').set({ user: 'bob', team: 'red' }).expect(201);
    await request(app).post('/jobs').set({ user: 'cid', team: 'red' }).expect(413);
    expect((await user.usageOf('cid')).limits[0]?.used).toBe(0);
    await Promise.all([user.close(), team.close()]);
  });

  it('two jobLimits on one route: both jobs follow the answer', async () => {
    const make = () =>
      jobLimits({ clock: new ManualClock(), customer, plans: { one: { concurrency: { limit: 5 } } } });
    const all = [make(), make()];
    const app = express();
    app.post('/jobs/:status', ...all.map((limits) => limits.admission()), (req, res) => {
      res.status(Number(req.params['status'])).end();
    });
    const states = () =>
      Promise.all(
        all.map(async ({ store }) => (await store.usage('acme', [])).running.map((job) => job.state)),
      );
    await request(app).post('/jobs/500').expect(500);
    expect(await states()).toEqual([[], []]);
    await request(app).post('/jobs/201').expect(201);
    expect(await states()).toEqual([['running'], ['running']]);
    await Promise.all(all.map((limits) => limits.close()));
  });

  it('two jobLimits on one route: what one refuses, the other refunds', async () => {
    // By its status alone the answer would say that the job was made.
    const responses = () => ({ status: 202, headers: {}, body: {} });
    const make = (limit: number) =>
      jobLimits({
        clock: new ManualClock(),
        customer,
        responses,
        plans: { one: { concurrency: { limit } } },
      });
    const all = [make(5), make(0)] as const;
    const app = express();
    app.post('/jobs', ...all.map((limits) => limits.admission()), created);
    await request(app).post('/jobs').expect(202);
    expect((await all[0].usageOf('acme')).running).toEqual([]);
    await Promise.all(all.map((limits) => limits.close()));
  });

  it("a slot held for the request leaves the job's own slot alone", async () => {
    const limits = jobLimits({
      clock: new ManualClock(),
      customer,
      plans: { one: { concurrency: { limit: 5 } } },
    });
    const app = express();
    const open = limits.concurrency({ name: 'open', limit: 1, hold: 'request' });
    app.post('/jobs', limits.admission(), open, (req, res, next) => {
      limits
        .job(req)
        .commit()
        .then(() => res.status(201).end(), next);
    });
    for (let i = 0; i < 3; i += 1) await request(app).post('/jobs').expect(201);
    const { running } = await limits.usageOf('acme');
    expect(running.map(({ state }) => state)).toEqual(['running', 'running', 'running']);
    await limits.close();
  });

  it("a limit beside the plan's of the same name holds too", async () => {
    const limits = jobLimits({
      clock: new ManualClock(),
      customer,
      plans: { one: { concurrency: { limit: 5 } } },
    });
    const app = express();
    app.post('/jobs', limits.admission(), limits.creationRate({ limit: 1, window: '1s' }), created);
    await request(app).post('/jobs').expect(201);
    await request(app).post('/jobs').expect(413);
    expect((await limits.usageOf('acme')).running).toHaveLength(1);
    await limits.close();
  });

  it('a listener that throws changes no decision', async () => {
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation();
    const limits = jobLimits({
      clock: new ManualClock(),
      customer,
      plans: { one: { concurrency: { limit: 5 } } },
    });
    limits.on('decision', () => {
      throw new Error('no');
    });
    const app = express();
    app.post('/jobs', limits.admission(), created);
    await request(app).post('/jobs').expect(201);
    expect((await limits.usageOf('acme')).running[0]?.state).toBe('running');
    expect(warn.mock.calls[0]![1]).toEqual({ code: 'LISTENER_FAILED' });
    warn.mockRestore();
    await limits.close();
  });

  it('work in routers within routers', async () => {
    const limits = jobLimits({ customer, plans: { one: { creationRate: { limit: 1, window: '1m' } } } });
    const app = express();
    const [outer, inner] = [express.Router(), express.Router()];
    inner.post('/jobs', limits.admission(), (req, res) => void res.status(201).json(limits.job(req).ref));
    outer.use('/v1', inner);
    app.use('/api', outer);
    await request(app).post('/api/v1/jobs').expect(201);
    await request(app).post('/api/v1/jobs').expect(413);
    await limits.close();
  });

  it('limits.job(req) without an admission before it says so', async () => {
    const limits = jobLimits({ customer, plans: { one: {} } });
    const app = express();
    app.get('/', (req, res) => void res.json(limits.job(req)));
    const answer = await request(jsonErrors(app)).get('/').expect(500);
    expect(answer.body).toMatchObject({ code: 'NO_ADMISSION' });
    await limits.close();
  });
});
