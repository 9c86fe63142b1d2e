import request from 'supertest';
import {
  MemoryStore,
  StoreError,
  type LimitsEvents,
  type OverrideOptions,
  type Plan,
} from '../../lib/index.js';
import { expressVersions } from '../support/apps.js';
import { created, jobApi } from '../support/job-api.js';

const DAY = 86_400_000;

const free: Plan = {
  creationRate: [
    { limit: 1, window: '1s', name: 'burst', mode: 'shadow' },
    { limit: 2, window: '1m' },
  ],
  concurrency: { limit: 3, maxRun: '2h', heartbeat: '90s', name: 'slots' },
  quotas: [
    { unit: 'jobs', limit: 10, per: 'month' },
    { unit: 'jobs', limit: 5, per: 'day' },
    { unit: 'bytes', limit: '1kb', per: 'day', name: 'traffic' },
  ],
  storage: { unit: 'bytes', limit: '1gb' },
  requestRate: { limit: 1, window: '1m' },
  fileSize: { maxFile: '1kb', maxFiles: 1, types: ['text/*'] },
  urlCount: { limit: 1 },
};
const express5 = expressVersions[1]![1];
const api = (plan: Plan = free) =>
  jobApi(express5, ({ admission }) => [admission(), created], { plans: { free: plan } });

describe('an override', () => {
  it('needs no more than the new number: the rest is as in the plan', async () => {
    const { limits, store } = api();
    await limits.override('acme', {
      creationRate: { limit: 1000 },
      concurrency: { limit: 30 },
      quotas: [
        { unit: 'jobs', per: 'month', limit: 100 },
        { name: 'traffic', limit: '1mb' },
      ],
      storage: { limit: '2gb' },
    });
    expect((await store.override('acme'))!.limits).toEqual([
      { kind: 'creation-rate', name: 'creation-rate', limit: 1000, windowMs: 60_000, mode: 'enforce' },
      {
        kind: 'concurrency',
        name: 'slots',
        limit: 30,
        maxRunMs: 7_200_000,
        heartbeatMs: 90_000,
        mode: 'enforce',
      },
      { kind: 'quota', name: 'jobs-per-month', unit: 'jobs', limit: 100, per: 'month', mode: 'enforce' },
      { kind: 'quota', name: 'traffic', unit: 'bytes', limit: 1024 ** 2, per: 'day', mode: 'enforce' },
      {
        kind: 'quota',
        name: 'bytes-stored',
        unit: 'bytes',
        limit: 2 * 1024 ** 3,
        per: 'stored',
        mode: 'enforce',
      },
    ]);
  });

  it('holds at once, until it is removed', async () => {
    const { app, limits } = api({ creationRate: { limit: 1, window: '1m' } });
    const post = () => request(app).post('/jobs');
    await post().expect(201);
    await post().expect(413);
    await limits.override('acme', { creationRate: { limit: 2 } });
    await post().expect(201);
    await limits.override('acme', { creationRate: { limit: 0 } });
    expect((await post().expect(413)).body).toMatchObject({ error: 'LIMIT_BLOCKED' });
    await limits.override('acme', null);
    expect((await post().expect(413)).body).toMatchObject({ error: 'RATE_LIMIT_REACHED' });
    await post().set('x-customer', 'globex').expect(201);
  });

  it('ends by itself', async () => {
    const { clock, limits } = api();
    const limitOf = async () => (await limits.usageOf('acme')).limits[1]!.limit;
    const endsAt = async (until: NonNullable<OverrideOptions['until']>) => {
      await limits.override('acme', { creationRate: { limit: 1000 }, until });
      return (await limits.overrideOf('acme'))!.expiresAt;
    };
    expect(await endsAt('2h')).toBe('2026-01-01T02:00:00.000Z');
    expect(await endsAt(60_000)).toBe('2026-01-01T00:01:00.000Z');
    expect(await endsAt('2026-01-03')).toBe('2026-01-03T00:00:00.000Z');
    expect(await endsAt('2026-01-02T13:00:00+01:00')).toBe('2026-01-02T12:00:00.000Z');
    expect(await endsAt(new Date('2026-01-02T00:00:00Z'))).toBe('2026-01-02T00:00:00.000Z');
    clock.advance(DAY - 1);
    expect(await limitOf()).toBe(1000);
    clock.advance(1);
    expect(await limitOf()).toBe(2);
    expect(await limits.overrideOf('acme')).toBeNull();
    expect(await limits.overrides()).toEqual([]);
  });

  it('in shadow mode lets the customer through everything, and tells what would have refused', async () => {
    const { app, limits } = api({
      creationRate: { limit: 1, window: '1m' },
      quotas: { unit: 'jobs', limit: 1, per: 'day' },
    });
    const shadowed: (readonly string[])[] = [];
    limits.on('decision', ({ decision }) => shadowed.push(decision.shadowed));
    await limits.override('acme', { mode: 'shadow' });
    for (let i = 0; i < 2; i += 1) await request(app).post('/jobs').expect(201);
    expect(shadowed).toEqual([[], ['creation-rate', 'jobs-per-day']]);
  });

  it('may put one limit into shadow mode', async () => {
    const { limits } = api();
    await limits.override('acme', { concurrency: { mode: 'shadow' } });
    const { limits: all } = await limits.usageOf('acme');
    expect(all.find(({ name }) => name === 'slots')).toMatchObject({
      limit: 3,
      mode: 'shadow',
      overridden: true,
    });
  });

  it('can limit what the plan leaves free, if it says all of it', async () => {
    const { limits } = api({});
    await limits.override('acme', { creationRate: { limit: 5, window: '1m' }, concurrency: { limit: 6 } });
    expect((await limits.usageOf('acme')).limits.map(({ name, limit }) => [name, limit])).toEqual([
      ['creation-rate', 5],
      ['concurrency', 6],
    ]);
  });

  it('reaches a limit that a route has besides the plan, if it says all of it', async () => {
    const { app, limits } = jobApi(express5, ({ creationRate }) => [
      creationRate({ name: 'by-route', limit: 1, window: '1m' }),
      created,
    ]);
    await limits.override('acme', { creationRate: { name: 'by-route', limit: 2, window: '1m' } });
    for (const status of [201, 201, 413]) await request(app).post('/jobs').expect(status);
  });

  it('is told with its reason, its author and its times, in a form that can be set again', async () => {
    const { clock, limits } = api();
    const set: OverrideOptions = {
      creationRate: { limit: 1000 },
      quotas: { unit: 'jobs', per: 'day', limit: 7 },
      storage: { limit: 5 },
      concurrency: { limit: 4 },
      requestRate: { limit: 100 },
      fileSize: { maxFile: '10gb' },
      mode: 'shadow',
      reason: 'launch day',
      author: 'ops@example.com',
      until: '1d',
    };
    clock.advance(1000);
    await limits.override('acme', set);
    await limits.override('globex', { creationRate: { limit: 0 } });
    const told = await limits.overrideOf('acme');
    expect(told).toEqual({
      customer: 'acme',
      limits: {
        creationRate: [{ limit: 1000, window: 60_000, name: 'creation-rate', mode: 'enforce' }],
        concurrency: [{ limit: 4, maxRun: 7_200_000, heartbeat: 90_000, name: 'slots', mode: 'enforce' }],
        quotas: [{ unit: 'jobs', per: 'day', limit: 7, name: 'jobs-per-day', mode: 'enforce' }],
        storage: [{ unit: 'bytes', limit: 5, name: 'bytes-stored', mode: 'enforce' }],
        requestRate: { limit: 100, window: 60_000, name: 'request-rate', mode: 'enforce' },
        fileSize: expect.objectContaining({ maxFile: '10gb', maxFiles: 1, types: ['text/*'] }) as unknown,
        mode: 'shadow',
      },
      reason: 'launch day',
      author: 'ops@example.com',
      setAt: '2026-01-01T00:00:01.000Z',
      expiresAt: '2026-01-02T00:00:01.000Z',
    });
    const all = await limits.overrides();
    expect(all.map(({ customer, reason, expiresAt }) => [customer, reason, expiresAt])).toEqual([
      ['acme', 'launch day', '2026-01-02T00:00:01.000Z'],
      ['globex', null, null],
    ]);
    await limits.override('acme', {
      ...told!.limits,
      reason: told!.reason!,
      author: told!.author!,
      until: told!.expiresAt!,
    });
    expect(await limits.overrideOf('acme')).toEqual(told);
    expect(await limits.overrideOf('nobody')).toBeNull();
  });

  it.each<[string, unknown, string, RegExp]>([
    ['nothing', {}, 'override', /at least one limit/],
    ['no limits', { quotas: [], reason: 'x' }, 'override', /at least one limit/],
    ['no object', 5, 'override', /object/],
    [
      'an unknown key',
      { creationrate: { limit: 1 } },
      'override.creationrate',
      /did you mean 'creationRate'/,
    ],
    ['what a plan alone has', { jobRetention: {} }, 'override.jobRetention', /no such option/],
    ['a wrong number', { creationRate: { limit: -1 } }, 'override.creationRate.limit', /at least 0/],
    [
      'a wrong number in a list',
      { quotas: [{ name: 'traffic', limit: 'x' }] },
      'override.quotas[0].limit',
      /a size/,
    ],
    ['no limit', { creationRate: 5 }, 'override.creationRate', /object/],
    [
      'a limit that is none of several',
      { quotas: { limit: 5 } },
      'override.quotas.name',
      /jobs-per-month, jobs-per-day, traffic/,
    ],
    [
      'a quota that the plan has not',
      { quotas: { unit: 'seconds', per: 'day', limit: 5 } },
      'override.quotas.name',
      /traffic/,
    ],
    [
      'a name that the plan has not',
      { concurrency: [{ name: 'x', mode: 'shadow' }] },
      'override.concurrency[0].limit',
      /whole number/,
    ],
    ['two of one name', { creationRate: [{ limit: 1 }, { limit: 2 }] }, 'override', /different names/],
    ['a wrong size', { fileSize: { maxFile: 'x' } }, 'override.fileSize.maxFile', /size/],
    [
      'what the plan can’t fill in',
      { archiveLimits: { maxDepth: -1 } },
      'override.archiveLimits.maxDepth',
      /at least 0/,
    ],
    ['a mode', { mode: 'enforce' }, 'override.mode', /'shadow'/],
    ['the past', { mode: 'shadow', until: '2025-12-31' }, 'override.until', /a moment to come/],
    ['now', { mode: 'shadow', until: 0 }, 'override.until', /a moment to come/],
    [
      'a date without its time zone',
      { mode: 'shadow', until: '2027-01-01T00:00' },
      'override.until',
      /time zone/,
    ],
    ['no date', { mode: 'shadow', until: new Date(NaN) }, 'override.until', /a moment to come/],
    ['no time', { mode: 'shadow', until: 'tomorrow' }, 'override.until', /duration/],
    ['an empty reason', { mode: 'shadow', reason: '' }, 'override.reason', /not empty/],
  ])('of %s is refused with its path, and changes nothing', async (_what, override, option, message) => {
    const { limits } = api();
    await limits.override('acme', { creationRate: { limit: 1000 } });
    await expect(limits.override('acme', override as OverrideOptions)).rejects.toMatchObject({
      name: 'ConfigError',
      option,
      message: expect.stringMatching(message) as unknown,
    });
    expect((await limits.usageOf('acme')).limits[1]!.limit).toBe(1000);
  });

  it('needs the parts that the plan has not', async () => {
    const { limits } = api({});
    for (const [override, option] of [
      [{ creationRate: { limit: 5 } }, 'override.creationRate.window'],
      [{ quotas: { unit: 'jobs', limit: 5, per: 'day' } }, 'override.quotas'],
      [{ storage: { unit: 'jobs', limit: 5 } }, 'override.storage'],
      [{ fileSize: { maxFiles: 5 } }, 'override.fileSize.maxFile'],
      [{ requestRate: { limit: 5 } }, 'override.requestRate.window'],
    ] as const) {
      await expect(limits.override('acme', override)).rejects.toMatchObject({ name: 'ConfigError', option });
    }
  });

  it('is for a customer that can be', async () => {
    const { limits } = api();
    for (const customer of ['', undefined, 'x'.repeat(513)] as string[]) {
      await expect(limits.override(customer, null)).rejects.toMatchObject({ code: 'CUSTOMER_INVALID' });
      await expect(limits.overrideOf(customer)).rejects.toMatchObject({ code: 'CUSTOMER_INVALID' });
    }
  });
});

describe.each(expressVersions)('an override of what a request brings, on %s', (_name, express) => {
  const text = (bytes: number) => Buffer.alloc(bytes, 'x');

  function host(admitted: boolean) {
    const made = jobApi(
      express,
      ({ admission, fileSize }) => [...(admitted ? [admission()] : []), fileSize(), created],
      { plans: { free } },
    );
    const { limits, app, store } = made;
    app.post('/urls', ...(admitted ? [limits.admission()] : []), limits.urlCount(), created);
    app.get('/jobs', limits.requestRate(), created);
    const asked = { count: 0 };
    const overrideOf = store.override.bind(store);
    store.override = (customer) => {
      asked.count += 1;
      return overrideOf(customer);
    };
    const upload = (bytes: number) =>
      request(app)
        .post('/jobs')
        .attach('file', text(bytes), { filename: 'a.txt', contentType: 'text/plain' });
    const urls = (count: number) =>
      request(app)
        .post('/urls')
        .send({ urls: Array.from({ length: count }, (_, i) => `https://example.com/${i}`) });
    return { ...made, asked, upload, urls, get: () => request(app).get('/jobs') };
  }

  it('holds after an admission, without another call of the store', async () => {
    const { limits, asked, upload, urls } = host(true);
    await upload(2000).expect(413);
    await limits.override('acme', { fileSize: { maxFile: '4kb' }, urlCount: { limit: 2 }, mode: 'shadow' });
    await upload(2000).expect(201);
    expect((await upload(5000).expect(413)).body).toMatchObject({ info: { allowed: 4096 } });
    await urls(2).expect(201);
    await urls(3).expect(413);
    expect(asked.count).toBe(0);
    await limits.override('acme', null);
    await upload(2000).expect(413);
  });

  it('holds without an admission, asked for at most once a second', async () => {
    const { clock, limits, asked, store, upload, urls, get } = host(false);
    await upload(2000).expect(413);
    await urls(2).expect(413);
    expect(asked.count).toBe(1);
    await limits.override('acme', {
      fileSize: { maxFile: '4kb' },
      urlCount: { limit: 2 },
      requestRate: { limit: 3 },
    });
    await upload(2000).expect(201);
    await urls(2).expect(201);
    for (const status of [201, 201, 201, 429]) await get().expect(status);
    expect(asked.count).toBe(2);
    // Another process removes it.
    await store.setOverride('acme', null);
    clock.advance(999);
    await urls(2).expect(201);
    clock.advance(1);
    await urls(2).expect(413);
    expect(asked.count).toBe(3);
  });

  it('in shadow mode reaches the request rate too, and no other of these', async () => {
    const { limits, get, upload } = host(false);
    const refusals: LimitsEvents['shadow-refusal'][] = [];
    limits.on('shadow-refusal', (event) => refusals.push(event));
    await limits.override('acme', { mode: 'shadow' });
    const first = await get().expect(201);
    expect(first.headers['ratelimit']).toBeUndefined();
    await get().expect(201);
    expect(refusals).toMatchObject([
      { customer: 'acme', refusal: { code: 'RATE_LIMIT_REACHED', violated: ['request-rate'] } },
    ]);
    await upload(2000).expect(413);
  });

  it.each([true, false])(
    'that is wrong here is ignored and told (after an admission: %s)',
    async (admitted) => {
      const { limits, store, upload, urls } = host(admitted);
      const warnings: LimitsEvents['warning'][] = [];
      limits.on('warning', (event) => warnings.push(event));
      // As a process of another version might write it.
      await store.setOverride('acme', {
        limits: [],
        others: { fileSize: { maxFile: '4kb', maxPixels: 5 }, urlCount: { limit: 2 }, frames: 7 },
        mode: 'shadow',
      });
      expect((await upload(2000).expect(413)).body).toMatchObject({ info: { allowed: 1024 } });
      expect(warnings).toEqual([
        {
          code: 'OVERRIDE_INVALID',
          message: expect.stringMatching(/"acme".*override\.fileSize\.maxPixels/) as unknown,
        },
      ]);
      await urls(2).expect(201);
      expect((await limits.overrideOf('acme'))!.limits).not.toHaveProperty('frames');
    },
  );

  it("a store that fails leaves the plan's limits in force, and is told", async () => {
    const { limits, store, upload } = host(false);
    const failures: LimitsEvents['store-error'][] = [];
    limits.on('store-error', (event) => failures.push(event));
    store.override = () => Promise.reject(new StoreError('STORE_UNAVAILABLE', 'gone'));
    await upload(2000).expect(413);
    await upload(1000).expect(201);
    expect(failures.map(({ operation }) => operation)).toEqual(['override', 'override']);
  });
});

it('fills in what the plan in force says, also where the plan is an object', async () => {
  const { limits } = jobApi(express5, () => [created], {
    store: new MemoryStore(),
    plan: async () => ({ creationRate: { limit: 9, window: '3m' } }),
  });
  await limits.override('acme', { creationRate: { limit: 10 } });
  expect((await limits.overrideOf('acme'))!.limits.creationRate).toEqual([
    { limit: 10, window: 180_000, name: 'creation-rate', mode: 'enforce' },
  ]);
});
