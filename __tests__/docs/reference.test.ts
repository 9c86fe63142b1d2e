import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import request from 'supertest';
import { ConfigError, type LimitStore } from '../../lib/index.js';
import { deferred } from '../support/apps.js';
import * as admission from './snippets/admission.js';
import * as concurrency from './snippets/concurrency.js';
import * as creationRate from './snippets/creation-rate.js';
import * as errors from './snippets/errors.js';
import * as plans from './snippets/plans.js';
import * as requestRate from './snippets/request-rate.js';
import * as stores from './snippets/stores.js';
import * as usage from './snippets/usage.js';

afterAll(async () => {
  process.removeAllListeners('SIGHUP');
  for (const { limits } of [
    admission,
    concurrency,
    creationRate,
    errors,
    plans,
    requestRate,
    stores,
    usage,
  ]) {
    await limits.close();
  }
  for (const { store } of [admission, concurrency, creationRate, stores]) await store.close();
});

type App = Parameters<typeof request>[0];
const post = (app: App, path = '/jobs', customer = 'acme') =>
  request(app).post(path).set('authorization', `Bearer ${customer}`);
const get = (app: App, path: string, customer = 'acme') =>
  request(app).get(path).set('authorization', `Bearer ${customer}`);

describe('admission', () => {
  it('decides before the body is read, and refunds a body that does not parse', async () => {
    const { app, limits } = admission;
    const used = async () => (await limits.usageOf('acme')).limits.map((limit) => limit.used);
    await post(app).send({ file: 'a.mp4' }).expect(201);
    await expect(used()).resolves.toEqual([1, 1]);
    await post(app).set('content-type', 'application/json').send('{').expect(400);
    await expect(used()).resolves.toEqual([1, 1]);
    await post(app).send({ file: 'b.mp4' }).expect(201);
    await post(app).set('content-type', 'application/json').send('{').expect(413);
  });

  it('with match charges the route it names and no other', async () => {
    const { limits, wide } = admission;
    await post(wide, '/login', 'globex').expect(201);
    expect((await limits.usageOf('globex')).running).toHaveLength(0);
    await post(wide, '/jobs', 'globex').expect(201);
    expect((await limits.usageOf('globex')).running).toHaveLength(1);
  });

  it('with requestWasSuccessful refunds an error that is answered 200', async () => {
    const { errors200, limits } = admission;
    await post(errors200, '/jobs', 'initech').expect(200);
    expect((await limits.usageOf('initech')).running).toHaveLength(0);
    await post(errors200, '/jobs?file=a', 'initech').expect(200);
    expect((await limits.usageOf('initech')).running).toHaveLength(1);
  });

  it('works alone', async () => {
    const { alone, queue, store } = admission;
    await post(alone).expect(201);
    const { ref } = queue.waiting.at(-1)!.data;
    await expect(store.finish(ref, { state: 'completed' })).resolves.toBe('finished');
  });
});

describe('creationRate', () => {
  it('alone refuses the 251st job of a minute', async () => {
    const { app, clock } = creationRate;
    for (let i = 0; i < 250; i += 1) await post(app).expect(201);
    await post(app).expect(413).expect('Retry-After', '60');
    clock.advance(60_000);
    await post(app).expect(201);
  });

  it('limits a second and a minute by two names', async () => {
    const { app, clock } = creationRate;
    for (let i = 0; i < 10; i += 1) await post(app, '/plan').expect(201);
    const answer = await post(app, '/plan').expect(413);
    expect(answer.body).toMatchObject({ info: { limit: 'burst', retryIn: 1 } });
    clock.advance(1_000);
    await post(app, '/plan').expect(201);
  });

  it('counts apart by key', async () => {
    const { app } = creationRate;
    const transcribe = (model: string) => post(app, `/transcriptions/${model}`, 'globex');
    for (let i = 0; i < 5; i += 1) await transcribe('small').expect(201);
    const answer = await transcribe('small').expect(413);
    expect(answer.body).toMatchObject({ info: { limit: 'by-model' } });
    await transcribe('large').expect(201);
  });
});

describe('concurrency', () => {
  it("hold: 'job' keeps the slot until finish", async () => {
    const { app, worker } = concurrency;
    await post(app).expect(201);
    await post(app).expect(201);
    await post(app).expect(413);
    await worker.emit('completed');
    await post(app).expect(201);
  });

  it("hold: 'request' keeps the slot until the answer", async () => {
    const { app, rendering, store } = concurrency;
    const { promise, resolve } = deferred();
    rendering.gate = promise;
    const first = get(app, '/preview').then(({ status }) => status);
    await until(async () => held(store, 'previews'));
    await get(app, '/preview').expect(413);
    resolve();
    await expect(first).resolves.toBe(200);
    await get(app, '/preview').expect(200);
  });

  it('nests a limit by key in that of the plan', async () => {
    const { app } = concurrency;
    const transcribe = (model: string) => post(app, `/transcriptions/${model}`);
    await transcribe('small').expect(201);
    expect((await transcribe('small').expect(413)).body).toMatchObject({ info: { limit: 'by-model' } });
    await transcribe('medium').expect(201);
    await transcribe('large').expect(201);
    expect((await transcribe('huge').expect(413)).body).toMatchObject({ info: { limit: 'concurrency' } });
  });

  it('reconcile leaves jobs of the last minute alone', async () => {
    const { limits, reconcileAll } = concurrency;
    await reconcileAll(['acme']);
    expect((await limits.usageOf('acme')).running).toHaveLength(3);
  });
});

async function held(store: LimitStore, name: string): Promise<boolean> {
  const limit = { kind: 'concurrency', name, limit: 1, maxRunMs: 1, mode: 'enforce' } as const;
  return (await store.usage('acme', [limit])).limits[0]!.used > 0;
}

async function until(condition: () => Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((turn) => setImmediate(turn));
}

describe('requestRate', () => {
  it('alone counts requests', async () => {
    const { app } = requestRate;
    for (let i = 0; i < 3; i += 1) await get(app, '/jobs').expect(200);
    await get(app, '/jobs').expect(429);
  });

  it('goes by the plan and skips what it is told to', async () => {
    const { byPlan } = requestRate;
    await get(byPlan, '/jobs').expect(200).expect('RateLimit-Policy', '"request-rate";q=1;w=1');
    await post(byPlan).expect(200);
    const unlimited = await get(byPlan, '/jobs', 'globex').expect(200);
    expect(unlimited.headers['ratelimit-policy']).toBeUndefined();
  });

  it('takes a limiter', async () => {
    const { shared } = requestRate;
    await get(shared, '/jobs').expect(200).expect('RateLimit-Policy', '"reads";q=2;w=300');
    await get(shared, '/jobs').expect(200);
    await get(shared, '/jobs').expect(429).expect('Retry-After', '60');
  });
});

describe('plans', () => {
  const { accounts, app, clock, limits, log, setFile } = plans;
  const limitsOf = async (customer: string) =>
    (await limits.usageOf(customer)).limits.map(({ name, limit }) => [name, limit]);
  const folder = mkdtempSync(join(tmpdir(), 'plans-'));
  const file = join(folder, 'plans.json');
  beforeAll(() => setFile(file));
  afterAll(() => rmSync(folder, { recursive: true }));

  it('are looked up by customer, and inherit', async () => {
    await expect(limitsOf('acme')).resolves.toEqual([
      ['creation-rate', 250],
      ['concurrency', 250],
      ['jobs-per-month', 10_000],
    ]);
    await expect(limitsOf('globex')).resolves.toEqual([
      ['burst', 50],
      ['creation-rate', 2_500],
      ['concurrency', 2_000],
      ['jobs-per-month', 100_000],
    ]);
  });

  it('go on as last known while they cannot be looked up', async () => {
    accounts.down = true;
    clock.advance(60_000);
    await expect(limitsOf('acme')).resolves.toHaveLength(3);
    expect(log.lines).toEqual([expect.stringMatching(/^acme keeps its last known plan: .*database is down/)]);
    accounts.down = false;
    clock.advance(60_000);
  });

  it('can be replaced while the app runs', async () => {
    writeFileSync(file, '{ "free": { "creationRate": { "limit": 1, "window": "1m" } }, "pro": {} }');
    process.emit('SIGHUP');
    await expect(limitsOf('acme')).resolves.toEqual([
      ['creation-rate', 1],
      ['concurrency', null],
    ]);
    await post(app).expect(201);
    await post(app).expect(413);
  });

  it('keep their old numbers when the new ones are wrong', async () => {
    writeFileSync(file, '{ "free": { "creationRate": { "limit": -1, "window": "1m" } } }');
    const told = jest.spyOn(console, 'error').mockImplementation();
    process.emit('SIGHUP');
    expect(told.mock.calls[0]![1]).toBeInstanceOf(ConfigError);
    told.mockRestore();
    await expect(limitsOf('acme')).resolves.toEqual([
      ['creation-rate', 1],
      ['concurrency', null],
    ]);
  });

  it('may have limits that only watch', async () => {
    limits.setPlans({ free: plans.trial, pro: {} });
    await limits.reset();
    const shadowed: (readonly string[])[] = [];
    limits.on('decision', ({ decision }) => shadowed.push(decision.shadowed));
    for (let i = 0; i < 21; i += 1) await post(app).expect(201);
    expect(shadowed).toEqual([...Array<string[]>(20).fill([]), ['concurrency']]);
    expect((await limits.usageOf('acme')).limits[1]).toMatchObject({ used: 20, mode: 'shadow' });
  });

  it('may only watch as a whole', async () => {
    limits.setPlans({ ...plans.plans, pro: plans.trialOfAll });
    const { limits: all } = await limits.usageOf('globex');
    expect(all.map(({ limit, mode }) => [limit, mode])).toEqual([
      [250, 'shadow'],
      [250, 'shadow'],
      [10_000, 'shadow'],
    ]);
  });
});

it('the error handler gets what was thrown and, asked for, what was refused', async () => {
  const { app } = errors;
  const missing = await request(app).post('/jobs').expect(401);
  expect(missing.body).toEqual({ error: 'CUSTOMER_MISSING' });
  await post(app).expect(201);
  const refused = await post(app)
    .expect(413)
    .expect('Retry-After', /^(60|5\d)$/);
  expect(refused.body).toEqual({ error: 'RATE_LIMIT_REACHED' });
});

it('usage tells code how many slots are left', async () => {
  const { app, slotsLeft } = usage;
  await post(app).expect(201);
  await expect(slotsLeft('acme')).resolves.toBe(249);
});
