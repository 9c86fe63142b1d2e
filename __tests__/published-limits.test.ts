import express, { type Express, type RequestHandler } from 'express';
import request from 'supertest';
import {
  jobLimits,
  ManualClock,
  type Amounts,
  type CostOf,
  type JobLimits,
  type JobLimitsOptions,
} from '../lib/index.js';
import { checkPlanSet, completePlans } from '../lib/plans/plan-set.js';
import { termsOfPlan } from '../lib/plans/terms.js';
import {
  app as deepgram,
  limits as deepgramLimits,
  plans,
  speech,
} from './docs/snippets/published-limits.js';
import { created } from './support/job-api.js';

/** What real APIs publish, and what their customers are answered when it is too much. */

interface Api {
  limits: JobLimits;
  clock: ManualClock;
  app: Express;
  /** Admits that many jobs without a request each. */
  fill: (jobs: number, amounts?: Amounts) => Promise<void>;
  /** Ends jobs that `fill` admitted. */
  finish: (jobs: number, outcome?: Parameters<JobLimits['finish']>[1]) => Promise<void>;
  post: (path?: string) => request.Test;
}

const open: JobLimits[] = [];
afterAll(async () => {
  await deepgramLimits.close();
  for (const limits of open) await limits.close();
});

/** An API with this plan whose POST /jobs creates a job, and whose GET /jobs/:id reads one. */
function api(
  name: keyof typeof plans,
  handlers: (limits: JobLimits) => RequestHandler[] = () => [],
  options: Partial<JobLimitsOptions> & { cost?: CostOf } = {},
): Api {
  const { cost, ...shared } = options;
  const clock = new ManualClock();
  const limits = jobLimits({ clock, customer: () => 'acme', plans: { [name]: plans[name] }, ...shared });
  const app = express();
  app.post('/jobs', limits.admission(cost ? { cost } : {}), ...handlers(limits), created);
  open.push(limits);
  const [plan] = completePlans(checkPlanSet({ [name]: plans[name] }));
  const terms = termsOfPlan(plan!, 60_000);
  let made = 0;
  let ended = 0;
  return {
    limits,
    clock,
    app,
    async fill(jobs, amounts) {
      for (const last = made + jobs; made < last; made += 1) {
        const ref = { customer: 'acme', id: `job-${made}` };
        const decision = await limits.store.admit({ ref, run: ref.id, terms, ...(amounts && { amounts }) });
        expect(decision.allowed).toBe(true);
        await limits.store.commit(ref);
      }
    },
    async finish(jobs, outcome = { state: 'completed' }) {
      for (const last = ended + jobs; ended < last; ended += 1) {
        expect(await limits.finish({ customer: 'acme', id: `job-${ended}` }, outcome)).toBe('finished');
      }
    },
    post: (path = '/jobs') => request(app).post(path),
  };
}

const KB = 1024;
const HOUR = 3_600_000;
const DAY = 24 * HOUR;
/** Declares a file without sending it: what it says is enough to refuse it. */
const declaring = (of: Api, bytes: number) =>
  of.post().set('content-type', 'video/mp4').set('content-length', String(bytes));

/** So many requests were made already, in a window that is still open: it goes by the machine's own clock. */
async function haveRequested({ limits }: Api, requests: number): Promise<void> {
  const limiter = limits.store.limiter({ keyPrefix: 'requests', points: requests, duration: 3600 });
  await limiter.penalty('acme', requests);
  limits.store.limiter = () => limiter;
}

describe('Transloadit: 250 creations a minute, 250 running for 8 hours, status 90 days, results 24 hours', () => {
  it('the 251st creation of a minute: 413 RATE_LIMIT_REACHED', async () => {
    const of = api('transloadit');
    await of.fill(250);
    await of.finish(250);
    const answer = await of.post().expect(413).expect('Retry-After', '60');
    expect(answer.body).toEqual({
      error: 'RATE_LIMIT_REACHED',
      message: 'Request limit reached',
      info: { retryIn: 60, limit: 'creation-rate' },
    });
  });

  it('the 251st running: the same', async () => {
    const of = api('transloadit');
    await of.fill(250);
    of.clock.advance(60_000);
    const answer = await of.post().expect(413);
    expect(answer.body).toMatchObject({ error: 'RATE_LIMIT_REACHED', info: { limit: 'concurrency' } });
    of.clock.advance(8 * HOUR);
    await of.post().expect(201);
  });

  it('results after a day and a status after 90: 410', async () => {
    const of = api('transloadit');
    of.app.get('/jobs/:id', of.limits.jobRetention({ of: 'metadata' }), (_req, res) => void res.end());
    of.app.get('/jobs/:id/results', of.limits.jobRetention(), (_req, res) => void res.end());
    const get = (path: string) => request(of.app).get(path);
    await of.fill(1);
    await of.finish(1);
    of.clock.advance(DAY - 1);
    await get('/jobs/job-0/results').expect(200);
    of.clock.advance(1);
    await get('/jobs/job-0/results').expect(410);
    await get('/jobs/job-0').expect(200);
    of.clock.advance(89 * DAY);
    await get('/jobs/job-0').expect(410);
  });

  it('too many requests of one client: 429 from the guard', async () => {
    const { limits } = api('transloadit');
    const app = express().use(limits.highFrequency({ requests: { limit: 1 } }), created);
    await request(app).get('/').expect(201);
    const answer = await request(app).get('/').expect(429);
    expect(answer.body).toMatchObject({ error: '429 Too Many Requests' });
  });
});

describe('Hume batch: 100 URLs recommended, more as archives, running jobs by account tier', () => {
  const hume = () =>
    api(
      'hume',
      (limits) => [limits.fileSize({ maxFile: '1mb' }), limits.archiveLimits(), limits.urlCount()],
      {
        deniedStatus: 429,
      },
    );

  it('one more than may run: 429', async () => {
    const of = hume();
    await of.fill(5);
    const answer = await of.post().expect(429).expect('Retry-After', '10');
    expect(answer.body).toMatchObject({ error: 'RATE_LIMIT_REACHED', info: { estimated: true } });
  });

  it('the 101st URL: a warning', async () => {
    const urls = Array.from({ length: 101 }, (_, i) => `https://example.com/${i}`);
    const { headers } = await hume().post().send({ urls }).expect(201);
    expect(headers['warning']).toMatch(/at most 100 are recommended/);
  });

  it('an archive of another format: refused', async () => {
    const bzip2 = Buffer.from('BZh91AY&SY', 'latin1');
    const answer = await hume().post().attach('file', bzip2, 'inputs.tar.bz2').expect(415);
    expect(answer.body).toMatchObject({ error: 'ARCHIVE_FORMAT_UNSUPPORTED' });
  });
});

describe('Speechmatics: 10 creations and 50 reads a second, 20,000 running, audio hours a month, 1 GB, 7 days', () => {
  const speechmatics = () =>
    api('speechmatics', (limits) => [limits.fileSize()], {
      cost: (req) => ({ audioSeconds: Number(req.get('x-seconds') ?? 0) }),
      responses: ({ code, message, limit }) => ({
        status: 429,
        headers: {},
        body: { code: 429, error: code, detail: `${message} (${limit})` },
      }),
    });

  it('each has a 429 with a message of its own', async () => {
    const created = speechmatics();
    await created.fill(10);
    const rate = await created.post().expect(429);
    expect(rate.body).toMatchObject({ detail: 'Request limit reached (creation-rate)' });

    const running = speechmatics();
    for (let i = 0; i < 2_000; i += 1) {
      await running.fill(10);
      running.clock.advance(1000);
    }
    expect((await running.post().expect(429)).body).toMatchObject({
      detail: 'Request limit reached (concurrency)',
    });

    const audio = speechmatics();
    await audio.fill(1, { audioSeconds: 7_000 });
    const quota = await audio.post().set('x-seconds', '201').expect(429);
    expect(quota.body).toMatchObject({
      error: 'QUOTA_EXCEEDED',
      detail: expect.stringMatching(/7200 audioSeconds per month are allowed, 200 are left/) as unknown,
    });
    await audio.finish(1, { state: 'completed', units: { audioSeconds: 6_999 } });
    await audio.post().set('x-seconds', '201').expect(201);
  });

  it('status reads have a limit of their own', async () => {
    const of = speechmatics();
    of.app.get('/jobs/:id', of.limits.requestRate(), created);
    const first = await request(of.app).get('/jobs/a').expect(201);
    expect(first.headers['ratelimit-policy']).toBe('"request-rate";q=50;w=1');
    const another = speechmatics();
    another.app.get('/jobs/:id', another.limits.requestRate(), created);
    await haveRequested(another, 50);
    await request(another.app).get('/jobs/a').expect(429);
    await of.post().expect(201);
  });

  it('a file over 1 GB, before a byte of it is read', async () => {
    const of = speechmatics();
    expect((await declaring(of, KB ** 3 + 1).expect(429)).body).toMatchObject({ error: 'FILE_TOO_LARGE' });
  });
});

describe('AssemblyAI: 20,000 requests in 5 minutes, 5 GB', () => {
  it('one request more: 429', async () => {
    const of = api('assemblyai', (limits) => [limits.requestRate()]);
    await haveRequested(of, 20_000);
    const answer = await of.post().expect(429);
    expect(answer.body).toMatchObject({ error: 'RATE_LIMIT_REACHED', info: { limit: 'request-rate' } });
  });

  it('a file over 5 GB: 413', async () => {
    const of = api('assemblyai', (limits) => [limits.fileSize()]);
    expect((await declaring(of, 5 * KB ** 3 + 1).expect(413)).body).toMatchObject({
      error: 'FILE_TOO_LARGE',
    });
  });
});

describe('Deepgram: 100 pre-recorded, 5 of one model, 50 streaming; the lowest wins', () => {
  const post = (path: string) => request(deepgram).post(path).set('authorization', 'Bearer acme');
  afterEach(() => deepgramLimits.reset());

  it('the sixth of one model: 429', async () => {
    for (let i = 0; i < 5; i += 1) await post('/listen/nova').expect(202);
    expect((await post('/listen/nova').expect(429)).body).toMatchObject({ info: { limit: 'by-model' } });
    await post('/listen/base').expect(202);
  });

  it('the 101st of all: 429', async () => {
    for (let i = 0; i < 100; i += 1) await post(`/listen/model-${i % 20}`).expect(202);
    expect((await post('/listen/another').expect(429)).body).toMatchObject({
      info: { limit: 'concurrency' },
    });
  });

  it('the 51st stream: 429, until one ends', async () => {
    const streams: (() => void)[] = [];
    const { stream } = speech;
    speech.stream = (_req, res) => void streams.push(() => res.end());
    const server = deepgram.listen(0, '127.0.0.1');
    const opened = Array.from({ length: 50 }, () =>
      request(server)
        .post('/stream')
        .set('authorization', 'Bearer acme')
        .then(({ status }) => status),
    );
    while (streams.length < 50) await new Promise((turn) => setImmediate(turn));
    await post('/stream').expect(429);
    for (const end of streams.splice(0)) end();
    await Promise.all(opened);
    speech.stream = stream;
    await post('/stream').expect(202);
    server.close();
  });
});

describe('OpenAI Batch: 200 MB, enqueued tokens per model, output kept from an hour to 30 days', () => {
  const batch = () =>
    api('openaiBatch', (limits) => [limits.fileSize()], {
      cost: (req) => ({ [`tokens.${req.get('x-model')}`]: Number(req.get('x-tokens')) }),
    });
  const post = (of: Api, model: string, tokens: number) =>
    of.post().set('x-model', model).set('x-tokens', String(tokens));

  it('more tokens than may be enqueued for a model: 413 QUOTA_EXCEEDED, until they are worked off', async () => {
    const of = batch();
    await of.fill(1, { 'tokens.large': 90_000 });
    const answer = await post(of, 'large', 1).expect(413);
    expect(answer.body).toMatchObject({ error: 'QUOTA_EXCEEDED', info: { limit: 'tokens.large-stored' } });
    await post(of, 'small', 500_000).expect(201);
    await of.finish(1, { state: 'completed', units: { 'tokens.large': 0 }, retention: { results: '1h' } });
    await post(of, 'large', 90_000).expect(201);
    const { kept } = await of.limits.usageOf('acme');
    expect(kept[0]!.resultsExpireAt).toBe('2026-01-01T01:00:00.000Z');
  });

  it('a file over 200 MB: 413', async () => {
    const of = batch();
    const declared = declaring(of, 200 * KB ** 2 + 1)
      .set('x-model', 'small')
      .set('x-tokens', '1');
    expect((await declared.expect(413)).body).toMatchObject({ error: 'FILE_TOO_LARGE' });
  });
});

describe('AWS Transcribe: 25 creations a second, 250 running, 2 GB, 90 days', () => {
  const transcribe = () =>
    api('awsTranscribe', (limits) => [limits.fileSize()], {
      responses: ({ message }) => ({
        status: 400,
        headers: {},
        body: { __type: 'LimitExceededException', Message: message },
      }),
    });

  it('each: LimitExceededException', async () => {
    const rate = transcribe();
    await rate.fill(25);
    const running = transcribe();
    for (let i = 0; i < 10; i += 1) {
      await running.fill(25);
      running.clock.advance(1000);
    }
    for (const refused of [rate.post(), running.post(), declaring(transcribe(), 2 * KB ** 3 + 1)]) {
      expect((await refused.expect(400)).body).toMatchObject({ __type: 'LimitExceededException' });
    }
  });
});

describe('Salesforce Bulk: 15,000 batches in any 24 hours, 150 million records a day, 150 MB, 7 days', () => {
  const bulk = () =>
    api('salesforceBulk', (limits) => [limits.fileSize()], {
      cost: (req) => ({ records: Number(req.get('x-records') ?? 0) }),
    });

  it('the 15,001st batch of any 24 hours: 413, with the date instead of a wait', async () => {
    const of = bulk();
    of.clock.advance(12 * HOUR);
    await of.fill(15_000);
    await of.finish(15_000);
    of.clock.advance(24 * HOUR - 1);
    await of.post().expect(413);
    of.clock.advance(1);
    await of.post().expect(201);
  });

  it('more records than are left of the day: 413 QUOTA_EXCEEDED', async () => {
    const of = bulk();
    await of.fill(1, { records: 149_999_000 });
    const answer = await of.post().set('x-records', '1001').expect(413);
    expect(answer.body).toMatchObject({
      error: 'QUOTA_EXCEEDED',
      info: { limit: 'records-per-day', requested: 1001, resetsAt: '2026-01-02T00:00:00.000Z' },
    });
  });

  it('more than 150 MB: 413', async () => {
    expect((await declaring(bulk(), 150 * KB ** 2 + 1).expect(413)).body).toMatchObject({
      error: 'FILE_TOO_LARGE',
    });
  });
});

describe('Soniox: 100 pending, 2,000 stored, 1,000 files, 10 GB', () => {
  const soniox = () => {
    const of = api('soniox');
    // A file is a job that ends at once and is kept.
    const upload = of.limits.admission({
      jobId: (req) => req.get('x-file')!,
      cost: (req) => ({ jobs: 0, files: 1, bytes: Number(req.get('x-bytes')) }),
    });
    of.app.post('/files', upload, async (req, res) => {
      await of.limits.finish(of.limits.job(req).ref, { state: 'completed' });
      res.status(201).end();
    });
    const post = (bytes: number, id = 'file') =>
      of.post('/files').set('x-bytes', String(bytes)).set('x-file', id);
    return { ...of, upload: post };
  };
  const stored = async (of: Api) =>
    Object.fromEntries((await of.limits.usageOf('acme')).limits.map(({ name, used }) => [name, used]));

  it('the 101st pending: 413', async () => {
    const of = soniox();
    await of.fill(100);
    expect((await of.post().expect(413)).body).toMatchObject({ info: { limit: 'concurrency' } });
  });

  it('the 2,001st stored: 413 QUOTA_EXCEEDED', async () => {
    const of = soniox();
    for (let i = 0; i < 20; i += 1) {
      await of.fill(100);
      await of.finish(100);
    }
    expect((await of.post().expect(413)).body).toMatchObject({
      error: 'QUOTA_EXCEEDED',
      info: { limit: 'jobs-stored', allowed: 2_000 },
    });
  });

  it('the 1,001st file, and more than 10 GB: the same, until a file is deleted', async () => {
    const of = soniox();
    await of.upload(10 * KB ** 3, 'large').expect(201);
    expect(await stored(of)).toMatchObject({ 'jobs-stored': 0, 'files-stored': 1 });
    expect((await of.upload(1).expect(413)).body).toMatchObject({ info: { limit: 'bytes-stored' } });
    await of.limits.expireNow({ customer: 'acme', id: 'large' });
    const sweeper = of.limits.sweep({ onExpire: () => undefined });
    await sweeper.turn();
    await sweeper.stop();
    for (let i = 0; i < 10; i += 1) {
      await of.fill(100, { jobs: 0, files: 1 });
      await of.finish(100);
    }
    expect((await of.upload(1).expect(413)).body).toMatchObject({ info: { limit: 'files-stored' } });
  });
});
