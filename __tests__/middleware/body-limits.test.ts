import request from 'supertest';
import { expressVersions } from '../support/apps.js';
import { created, jobApi } from '../support/job-api.js';

const plan = (who: string): string => (who === 'globex' ? 'pro' : 'free');
const plans = {
  free: {
    concurrency: { limit: 9 },
    fileSize: { maxFile: '1kb', maxFiles: 1 },
    urlCount: { limit: 2 },
    archiveLimits: { maxEntries: 1 },
  },
  pro: { concurrency: { limit: 9 }, fileSize: { maxFile: '1mb' }, urlCount: { limit: 4 } },
};

describe.each(expressVersions)('limits of the plan on what a request brings, on %s', (_name, express) => {
  const used = { 'creation-rate': 0, concurrency: 0 };

  it('fileSize: each customer has its own, and a refusal refunds the admission', async () => {
    const api = jobApi(express, ({ admission, fileSize }) => [admission(), fileSize(), created], {
      plans,
      plan,
    });
    const upload = (who: string) =>
      request(api.app).post('/jobs').set('x-customer', who).attach('file', Buffer.alloc(2000), 'a.bin');
    const refused = await upload('acme').expect(413);
    expect(refused.body).toMatchObject({ error: 'FILE_TOO_LARGE', info: { allowed: 1024 } });
    expect(refused.headers['retry-after']).toBeUndefined();
    expect(await api.used('acme')).toEqual(used);
    await upload('globex').expect(201);
    expect((await api.used('globex'))['concurrency']).toBe(1);
  });

  it('urlCount: the same', async () => {
    const api = jobApi(express, ({ admission, urlCount }) => [admission(), urlCount(), created], {
      plans,
      plan,
    });
    const send = (who: string) =>
      request(api.app)
        .post('/jobs')
        .set('x-customer', who)
        .send({ urls: ['https://example.com/1', 'https://example.com/2', 'https://example.com/3'] });
    expect((await send('acme').expect(413)).body).toMatchObject({
      error: 'TOO_MANY_URLS',
      info: { allowed: 2, received: 3 },
    });
    expect(await api.used('acme')).toEqual(used);
    await send('globex').expect(201);
  });

  it('archiveLimits: the same, behind fileSize', async () => {
    // An end record alone that claims two entries.
    const zip = Buffer.from('504b0506000000000200020000000000000000000000', 'hex');
    const api = jobApi(
      express,
      ({ admission, fileSize, archiveLimits }) => [admission(), fileSize(), archiveLimits(), created],
      { plans, plan },
    );
    const upload = (who: string) =>
      request(api.app).post('/jobs').set('x-customer', who).attach('file', zip, 'inputs.zip');
    const refused = await upload('acme');
    expect(refused.status).toBeGreaterThanOrEqual(400);
    expect((refused.body as { error: string }).error).toMatch(/^ARCHIVE_/);
    expect(await api.used('acme')).toEqual(used);
    await upload('globex').expect(201);
  });

  it('numbers of its own are the same for all customers', async () => {
    const api = jobApi(express, ({ admission, urlCount }) => [admission(), urlCount({ limit: 0 }), created], {
      plans,
      plan,
    });
    await request(api.app)
      .post('/jobs')
      .set('x-customer', 'globex')
      .send({ urls: ['https://example.com'] })
      .expect(413);
    expect(() => api.limits.fileSize({ maxfile: '1kb' } as never)).toThrow(/did you mean 'maxFile'/);
  });
});
