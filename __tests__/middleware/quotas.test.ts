import request from 'supertest';
import type { LimitsEvents, Plan } from '../../lib/index.js';
import { expressVersions } from '../support/apps.js';
import { created, jobApi } from '../support/job-api.js';

const cost = (req: { get(name: string): string | undefined }) => ({
  seconds: Number(req.get('x-seconds') ?? 0),
  bytes: Number(req.get('x-bytes') ?? 0),
});

describe.each(expressVersions)('quotas on %s', (_name, express) => {
  const host = (free: Plan, options: object = {}) => {
    const api = jobApi(express, ({ admission }) => [admission({ cost }), created], {
      plans: { free },
      ...options,
    });
    const post = (headers: Record<string, string> = {}) => request(api.app).post('/jobs').set(headers);
    return { ...api, post };
  };

  it('are reserved at admission, refused by name when they are used up, and told in words', async () => {
    const { clock, post, used } = host({
      creationRate: { limit: 9, window: '1m' },
      quotas: { unit: 'seconds', limit: 1_000, per: 'month' },
    });
    const first = await post({ 'x-seconds': '600' }).expect(201);
    expect(first.headers['ratelimit-policy']).toBe('"creation-rate";q=9;w=60');
    const refused = await post({ 'x-seconds': '600' }).expect(413);
    expect(refused.body).toEqual({
      error: 'QUOTA_EXCEEDED',
      message: expect.stringMatching(/1000 seconds per month.*400.*600/) as unknown,
      info: {
        resetsAt: '2026-02-01T00:00:00.000Z',
        limit: 'seconds-per-month',
        unit: 'seconds',
        per: 'month',
        allowed: 1_000,
        used: 600,
        requested: 600,
      },
    });
    // A client must neither sleep a month nor retry at once.
    expect(refused.headers['retry-after']).toBeUndefined();
    expect(await used()).toMatchObject({ 'creation-rate': 1, 'seconds-per-month': 600 });
    await post({ 'x-seconds': '400' }).expect(201);
    clock.advance(31 * 86_400_000);
    await post({ 'x-seconds': '1000' }).expect(201);
  });

  it('that come back within the hour say when, in both ways', async () => {
    const { clock, post } = host({ quotas: { unit: 'jobs', limit: 1, per: 'hour' } });
    clock.advance(59 * 60_000);
    const first = await post().expect(201);
    expect(first.headers['ratelimit-policy']).toBe('"jobs-per-hour";q=1;w=3600');
    expect(first.headers['ratelimit']).toBe('"jobs-per-hour";r=0;t=60');
    const refused = await post().expect(413).expect('Retry-After', '60');
    expect(refused.body).toMatchObject({ error: 'QUOTA_EXCEEDED', info: { retryIn: 60 } });
    clock.advance(60_000);
    await post().expect(201);
  });

  it('are settled at finish, and refunded where the job is not made', async () => {
    const api = jobApi(
      express,
      ({ admission }) => [
        admission({ cost, jobId: (req) => req.get('x-id')! }),
        (req, res) => (req.get('x-fail') ? void res.status(500).end() : created(req, res)),
      ],
      { plans: { free: { quotas: { unit: 'seconds', limit: 1_000, per: 'month' } } } },
    );
    const post = (id: string, headers = {}) =>
      request(api.app)
        .post('/jobs')
        .set({ 'x-id': id, 'x-seconds': '600', ...headers });
    const seconds = async () => (await api.used())['seconds-per-month'];
    await post('one', { 'x-fail': '1' }).expect(500);
    expect(await seconds()).toBe(0);
    await post('two').expect(201);
    expect(await seconds()).toBe(600);
    await api.store.finish({ customer: 'acme', id: 'two' }, { state: 'completed', units: { seconds: 617 } });
    expect(await seconds()).toBe(617);
    await post('three').expect(413);
  });

  it('an amount beyond the whole quota is refused without a time: no wait helps', async () => {
    const { post } = host({ quotas: { unit: 'seconds', limit: 100, per: 'day' } }, { deniedStatus: 429 });
    const refused = await post({ 'x-seconds': '101' }).expect(413);
    expect(refused.body).toMatchObject({ error: 'QUOTA_EXCEEDED', info: { requested: 101, used: 0 } });
    expect(refused.body).not.toHaveProperty('info.retryIn');
    expect(refused.body).not.toHaveProperty('info.resetsAt');
    await post({ 'x-seconds': '100' }).expect(201);
  });

  it('storage is full until results are deleted', async () => {
    const { limits, clock, post } = host({
      storage: { unit: 'bytes', limit: '1kb' },
      jobRetention: { results: '1h', metadata: '2h' },
    });
    const job = await post({ 'x-bytes': '1000' }).expect(201);
    expect(job.headers['ratelimit-policy']).toBe('"bytes-stored";q=1024;qu="content-bytes"');
    const refused = await post({ 'x-bytes': '1000' }).expect(413);
    expect(refused.body).toMatchObject({
      error: 'QUOTA_EXCEEDED',
      message: expect.stringMatching(/1024 bytes stored/) as unknown,
      info: { limit: 'bytes-stored', per: 'stored' },
    });
    const { running } = await limits.usageOf('acme');
    await limits.finish({ customer: 'acme', id: running[0]!.id }, { state: 'completed' });
    await post({ 'x-bytes': '1000' }).expect(413);
    clock.advance(3_600_000);
    await limits.store.confirm(await limits.store.claim({ shard: 0, limit: 9, leaseMs: 1000 }));
    await post({ 'x-bytes': '1000' }).expect(201);
  });

  it('in shadow mode refuse nobody, and are told', async () => {
    const { limits, post, used } = host({
      quotas: [
        { unit: 'jobs', limit: 1, per: 'day', mode: 'shadow' },
        { unit: 'seconds', limit: 50, per: 'day' },
      ],
    });
    const shadowed: (readonly string[])[] = [];
    limits.on('decision', ({ decision }) => shadowed.push(decision.shadowed));
    for (let i = 0; i < 2; i += 1) await post({ 'x-seconds': '10' }).expect(201);
    expect(shadowed).toEqual([[], ['jobs-per-day']]);
    // What a shadow limit would refuse is not charged to it.
    expect(await used()).toMatchObject({ 'jobs-per-day': 1, 'seconds-per-day': 20 });
  });

  it('a plan in shadow mode has no limit that refuses', async () => {
    const { limits, post } = host({
      mode: 'shadow',
      creationRate: { limit: 1, window: '1m' },
      concurrency: { limit: 1 },
      quotas: { unit: 'jobs', limit: 1, per: 'day' },
      storage: { unit: 'jobs', limit: 1 },
    });
    const decisions: LimitsEvents['decision'][] = [];
    limits.on('decision', (event) => decisions.push(event));
    await post().expect(201);
    const second = await post().expect(201);
    expect(second.headers['ratelimit-policy']).toBeUndefined();
    expect(decisions[1]!.decision.shadowed).toEqual([
      'creation-rate',
      'concurrency',
      'jobs-per-day',
      'jobs-stored',
    ]);
  });
});
