import express, { type Express, type RequestHandler, type Response } from 'express';
import request from 'supertest';
import {
  highFrequency,
  jobLimits,
  ManualClock,
  MemoryStore,
  type AdmissionOptions,
  type HighFrequencyOptions,
  type JobLimitsOptions,
  type JobRetentionOptions,
  type Plan,
} from '../../lib/index.js';
import { deferred } from '../support/apps.js';
import { bodyAnswers } from './body-answers.js';

/** An answer that a page shows, as the app gives it. */
export type Answered = Pick<request.Response, 'status' | 'headers' | 'text'>;

const created: RequestHandler = (_req, res) => void res.status(201).end();
const RATE: Plan = { creationRate: { limit: 250, window: '1m' } };

interface Host {
  app: Express;
  clock: ManualClock;
  limits: ReturnType<typeof jobLimits>;
}

async function withApp(
  options: Partial<JobLimitsOptions> & { free?: Plan },
  run: (host: Host) => Promise<Answered>,
): Promise<Answered> {
  const { free = RATE, ...more } = options;
  const clock = new ManualClock();
  const limits = jobLimits({ clock, customer: () => 'acme', plans: { free }, ...more });
  try {
    return await run({ app: express(), clock, limits });
  } finally {
    await limits.close();
  }
}

/** The 251st creation, 19 seconds after the first. */
const overRate = (options: Partial<JobLimitsOptions> & { free?: Plan }, limit = 250): Promise<Answered> =>
  withApp(options, async ({ app, clock, limits }) => {
    app.post('/jobs', limits.admission(), created);
    // One server for all of them: supertest makes one a call otherwise.
    const server = app.listen(0, '127.0.0.1');
    try {
      for (let i = 0; i < limit; i += 1) await request(server).post('/jobs').expect(201);
      clock.advance(19_000);
      return await request(server).post('/jobs');
    } finally {
      server.close();
    }
  });

/** A second job that costs as much as the first. */
const overQuota = (free: Plan, cost: Record<string, number>): Promise<Answered> =>
  withApp({ free }, async ({ app, limits }) => {
    app.post('/jobs', limits.admission({ cost: () => cost }), created);
    await request(app).post('/jobs').expect(201);
    return request(app).post('/jobs');
  });

/** Too many requests of one client, and once more. */
async function tooFast(options: Partial<HighFrequencyOptions>): Promise<Answered> {
  const clock = new ManualClock();
  const app = express().use(highFrequency({ clock, requests: { limit: 1 }, ...options }), created);
  await request(app).post('/').expect(201);
  await request(app).post('/').expect(429);
  return request(app).post('/');
}

const DAY = 24 * 3_600_000;

/** A read of a job that has ended so long ago, and is kept for a day. */
const withKeptJob = (options: JobRetentionOptions, afterMs: number): Promise<Answered> =>
  withApp({ free: { jobRetention: { results: '24h', metadata: '90d' } } }, async ({ app, clock, limits }) => {
    app.post('/jobs', limits.admission({ jobId: () => 'job-1' }), created);
    app.get('/jobs/:id/results', limits.jobRetention(options), (_req, res) => void res.end());
    await request(app).post('/jobs').expect(201);
    await limits.finish({ customer: 'acme', id: 'job-1' }, { state: 'completed' });
    clock.advance(afterMs);
    return request(app).get('/jobs/job-1/results');
  });

const keyed = { jobId: (): string => 'k-1' };

/** Creations with the same `Idempotency-Key`, of which the last is answered. */
const withKey = (key: string, bodies: object[], options: AdmissionOptions = {}): Promise<Answered> =>
  withApp({}, async ({ app, limits }) => {
    const byKey: AdmissionOptions = {
      idempotency: true,
      onReplay: 'pass',
      fingerprint: (req) => JSON.stringify(req.body),
    };
    app.post('/jobs', express.json(), limits.admission({ ...byKey, ...options }), created);
    let answer: Answered;
    for (const body of bodies) {
      answer = await request(app)
        .post('/jobs')
        .set(key === '' ? {} : { 'Idempotency-Key': key })
        .send(body);
    }
    return answer!;
  });

/** What gives each answer that the docs show, by the name in the comment before it. */
export const answers: Record<string, () => Promise<Answered>> = {
  ...bodyAnswers,
  created: () =>
    withApp({ free: { ...RATE, concurrency: { limit: 250 } } }, async ({ app, limits }) => {
      app.post('/jobs', limits.admission(), created);
      return request(app).post('/jobs');
    }),
  'rate-reached': () => overRate({}),
  'rate-reached-429': () => overRate({ deniedStatus: 429 }),
  'rate-reached-problem': () => overRate({ responses: 'problem' }),
  'rate-reached-help': () => overRate({ help: 'https://example.com/plans' }),
  'long-wait': () => overRate({ free: { creationRate: { limit: 20, window: '1d' } } }, 20),
  blocked: () => overRate({ free: { creationRate: { limit: 0, window: '1m' } } }, 0),
  'quota-exceeded': () =>
    overQuota({ quotas: { unit: 'audioSeconds', limit: 36_000, per: 'month' } }, { audioSeconds: 20_000 }),
  'storage-full': () => overQuota({ storage: { unit: 'bytes', limit: '1gb' } }, { bytes: 700_000_000 }),
  'slots-taken': () => overRate({ free: { concurrency: { limit: 250 } } }),

  'job-exists': () =>
    withApp({}, async ({ app, limits }) => {
      app.post('/jobs', limits.admission(keyed), created);
      await request(app).post('/jobs').expect(201);
      return request(app).post('/jobs');
    }),
  'job-in-progress': () =>
    withApp({}, async ({ app, limits }) => {
      const arrived = deferred<Response>();
      app.post('/jobs', limits.admission(keyed), (_req, res) => arrived.resolve(res));
      const first = request(app)
        .post('/jobs')
        .then(({ status }) => status);
      const open = await arrived.promise;
      const second = await request(app).post('/jobs');
      open.status(201).end();
      await first;
      return second;
    }),

  'key-missing': () => withKey('', [{}], { idempotency: 'required' }),
  'key-invalid': () => withKey('"k-1', [{}]),
  'key-reused': () => withKey('"k-1"', [{ file: 'a.mp4' }, { file: 'b.mp4' }]),

  'high-frequency': () => tooFast({}),
  'high-frequency-problem': () => tooFast({ responses: 'problem' }),
  banned: () => tooFast({ ban: { after: 1, window: '1m', for: '1d' } }),

  'request-rate': () =>
    withApp({}, async ({ app, limits }) => {
      app.get('/jobs', limits.requestRate({ limit: 1, window: '5m' }), created);
      await request(app).get('/jobs').expect(201);
      return request(app).get('/jobs');
    }),
  usage: () =>
    withApp(
      { free: { ...RATE, concurrency: { limit: 250, maxRun: '8h' } } },
      async ({ app, clock, limits }) => {
        app.post('/jobs', limits.admission({ jobId: () => 'job-1' }), created);
        app.get('/limits', limits.usage());
        await request(app).post('/jobs').expect(201);
        clock.advance(19_000);
        return request(app).get('/limits');
      },
    ),
  'usage-quotas': () =>
    withApp(
      {
        free: {
          quotas: { unit: 'audioSeconds', limit: 36_000, per: 'month' },
          jobRetention: { results: '7d', metadata: '90d' },
        },
      },
      async ({ app, clock, limits }) => {
        const admission = limits.admission({ jobId: () => 'job-1', cost: () => ({ audioSeconds: 600 }) });
        app.post('/jobs', admission, created);
        app.get('/limits', limits.usage());
        await request(app).post('/jobs').expect(201);
        clock.advance(60_000);
        const ended = { state: 'completed', units: { audioSeconds: 617 } } as const;
        await limits.finish({ customer: 'acme', id: 'job-1' }, ended);
        await limits.override('acme', { quotas: { limit: 360_000 } });
        return request(app).get('/limits');
      },
    ),
  'usage-unlimited': () =>
    withApp({ free: {} }, async ({ app, limits }) => {
      app.get('/limits', limits.usage());
      return request(app).get('/limits');
    }),
  'job-kept': () => withKeptJob({ link: 'https://example.com/retention' }, 0),
  'job-expired': () => withKeptJob({}, DAY),
  'job-expired-problem': () => withKeptJob({ responses: 'problem' }, DAY),
  'job-not-found': () => withKeptJob({ id: () => 'another', unknown: 404 }, 0),
  'store-unavailable': async () => {
    const store = new MemoryStore();
    await store.close();
    return withApp({ store }, async ({ app, limits }) => {
      app.post('/jobs', limits.admission(), created);
      return request(app).post('/jobs');
    });
  },
};
