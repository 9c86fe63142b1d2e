import request from 'supertest';
import * as overrides from './snippets/overrides.js';
import * as quotas from './snippets/quotas.js';

afterAll(async () => {
  await overrides.limits.close();
  await quotas.limits.close();
});

const usedOf = async ({ limits }: Pick<typeof quotas, 'limits'>) =>
  Object.fromEntries((await limits.usageOf('acme')).limits.map(({ name, used }) => [name, used]));

describe('quotas', () => {
  const { app, measured, worker } = quotas;
  const post = (seconds: number, file = 'x') =>
    request(app)
      .post('/jobs')
      .set({ authorization: 'Bearer acme', 'x-audio-seconds': String(seconds), 'content-type': 'audio/wav' })
      .send(file);

  it('are reserved at admission and settled at the end', async () => {
    await post(600, 'sound').expect(201);
    expect(await usedOf(quotas)).toMatchObject({
      'jobs-per-month': 1,
      'audioSeconds-per-month': 600,
      'jobs-stored': 1,
      'bytes-stored': 5,
    });
    Object.assign(measured, { seconds: 617, bytes: 2_000 });
    await worker.emit('completed');
    expect(await usedOf(quotas)).toMatchObject({
      'jobs-per-month': 1,
      'audioSeconds-per-month': 617,
      'jobs-stored': 1,
      'bytes-stored': 2_000,
    });
  });

  it('are given back for a job that failed where the host says so', async () => {
    await post(600).expect(201);
    await worker.emit('failed');
    expect(await usedOf(quotas)).toMatchObject({ 'jobs-per-month': 2, 'audioSeconds-per-month': 617 });
  });
});

describe('overrides', () => {
  const { admin, app, limits } = overrides;
  const limitsOf = async () =>
    Object.fromEntries((await limits.usageOf('acme')).limits.map(({ name, limit }) => [name, limit]));
  const post = () => request(app).post('/jobs').set('authorization', 'Bearer acme');
  const plan = {
    'creation-rate': 250,
    concurrency: 250,
    'jobs-per-month': 10_000,
    'audioSeconds-per-month': 36_000,
  };

  it('raise a limit for a while', async () => {
    await overrides.helpThrough('acme');
    expect(await limitsOf()).toEqual({ ...plan, 'creation-rate': 1_000 });
    const answer = await request(admin).get('/overrides').expect(200);
    expect(answer.body).toMatchObject([
      { customer: 'acme', reason: 'launch day, agreed by phone', expiresAt: '2026-01-01T12:00:00.000Z' },
    ]);
  });

  it('replace the one that was there', async () => {
    await overrides.agree('acme');
    expect(await limitsOf()).toEqual({ ...plan, concurrency: 400, 'audioSeconds-per-month': 360_000 });
    expect((await limits.overrideOf('acme'))!.limits.fileSize).toMatchObject({ maxFile: '4gb' });
  });

  it('block', async () => {
    await overrides.block('acme', 'unpaid');
    expect((await post().expect(413)).body).toMatchObject({ error: 'LIMIT_BLOCKED' });
  });

  it('let through', async () => {
    await overrides.letThrough('acme');
    await post().expect(201);
    expect((await limits.usageOf('acme')).limits[0]!.mode).toBe('shadow');
  });

  it('are removed', async () => {
    await overrides.removeOverride('acme');
    expect(await limits.overrides()).toEqual([]);
    expect(await limitsOf()).toEqual(plan);
  });
});
