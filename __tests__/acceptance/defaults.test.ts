import type { Express } from 'express';
import request from 'supertest';
import { jobLimits, ManualClock, type JobLimits, type JobRef } from '../../lib/index.js';
import { expressVersions } from '../support/apps.js';

describe.each(expressVersions)('a job API on %s', (_name, express) => {
  let clock: ManualClock;
  let limits: JobLimits;
  let app: Express;
  let jobs: JobRef[];

  beforeEach(() => {
    clock = new ManualClock();
    jobs = [];
    limits = jobLimits({
      clock,
      customer: (req) => req.get('x-customer'),
      plans: {
        free: { creationRate: { limit: 250, window: '1m' }, concurrency: { limit: 250, maxRun: '8h' } },
      },
    });
    app = express();
    app.post('/jobs', limits.admission(), async (req, res) => {
      const id = await limits.job(req).commit((ref) => {
        jobs.push(ref);
        return ref.id;
      });
      res.status(201).json({ id });
    });
    app.get('/limits', limits.usage());
  });

  afterEach(() => limits.close());

  const create = () => request(app).post('/jobs').set('x-customer', 'acme');
  const usage = async () => (await request(app).get('/limits').set('x-customer', 'acme')).body as unknown;

  it('creates 250 jobs in a minute and refuses the 251st, which changes nothing', async () => {
    for (let i = 0; i < 250; i += 1) await create().expect(201);
    clock.advance(19_000);
    const before = await usage();
    const refused = await create().expect(413);
    expect(refused.body).toEqual({
      error: 'RATE_LIMIT_REACHED',
      message: 'Request limit reached',
      info: { retryIn: 41, limit: 'creation-rate' },
    });
    expect(refused.headers).toMatchObject({
      'retry-after': '41',
      'cache-control': 'no-store',
      'ratelimit-policy': '"creation-rate";q=250;w=60, "concurrency";q=250;qu="concurrent-requests"',
      ratelimit: '"creation-rate";r=0;t=41, "concurrency";r=0',
    });
    expect(await usage()).toEqual(before);
    expect(jobs).toHaveLength(250);
  });

  it('refuses the 251st running job when the minute is over, until one is finished', async () => {
    for (let i = 0; i < 250; i += 1) await create().expect(201);
    clock.advance(60_000);
    const refused = await create().expect(413);
    expect(refused.body).toEqual({
      error: 'RATE_LIMIT_REACHED',
      message: 'Request limit reached',
      info: { retryIn: 10, estimated: true, limit: 'concurrency' },
    });
    await expect(limits.finish(jobs[0]!, { state: 'completed' })).resolves.toBe('finished');
    await expect(limits.finish(jobs[0]!, { state: 'completed' })).resolves.toBe('already');
    await create().expect(201);
    await create().expect(413);
  });
});
