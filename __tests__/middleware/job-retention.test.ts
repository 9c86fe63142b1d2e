import type { Express, RequestHandler } from 'express';
import request from 'supertest';
import {
  ConfigError,
  jobLimits,
  jobRetention,
  ManualClock,
  MemoryStore,
  storedJobOfRequest,
  StoreError,
  type JobRetentionOptions,
  type JobLimitsOptions,
  type JobRef,
} from '../../lib/index.js';
import { DAY, finished, keptTerms } from '../../lib/testing/contract/kept-jobs.js';
import { HOUR, request as jobRequest } from '../../lib/testing/harness.js';
import { expressVersions, jsonErrors } from '../support/apps.js';
import { runningJob } from '../jobs/swept-store.js';

const START = Date.UTC(2026, 0, 1);
const dateAfter = (ms: number): Date => new Date(START + ms);
const path = ({ id }: { id: string }): string => `/jobs/${id}`;

describe.each(expressVersions)('jobRetention on %s', (_name, express) => {
  /** An app that reads jobs of `acme`, or of who the request says it is. No sweeper runs. */
  function apiWith(
    own: JobRetentionOptions | JobRetentionOptions[] = {},
    options: Partial<JobLimitsOptions> = {},
  ) {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const limits = jobLimits({
      clock,
      store,
      customer: (req) => req.get('x-customer') ?? 'acme',
      ...options,
    });
    const app: Express = express();
    const handler: RequestHandler = (req, res) => {
      const job = (req as unknown as { job?: object }).job;
      res.json({ read: true, job, same: job === storedJobOfRequest(req) });
    };
    app.get('/jobs/:id', ...[own].flat().map((each) => limits.jobRetention(each)), handler);
    jsonErrors(app);
    return { app, clock, store, limits };
  }

  it('lets results be read to the last millisecond and says until when; then it is 410, with no sweeper', async () => {
    const { app, clock, store } = apiWith({ link: 'https://example.com/retention' });
    const ref = await finished(store);
    clock.advance(HOUR - 1);
    const kept = await request(app).get(path(ref)).expect(200);
    expect(kept.headers['sunset']).toBe(dateAfter(HOUR).toUTCString());
    expect(kept.headers['link']).toBe('<https://example.com/retention>; rel="sunset"');
    expect(kept.body).toMatchObject({
      read: true,
      same: true,
      job: {
        ref,
        state: 'completed',
        resultsExpireAt: START + HOUR,
        metadataExpireAt: START + DAY,
      },
    });
    clock.advance(1);
    const gone = await request(app).get(path(ref)).expect(410);
    expect(gone.body).toEqual({
      error: 'JOB_EXPIRED',
      message: 'The results of this job have expired',
      info: { expiredAt: dateAfter(HOUR).toISOString() },
    });
    expect(gone.headers['cache-control']).toBe('no-store');
    expect(gone.headers['retry-after']).toBeUndefined();
    expect(gone.headers['sunset']).toBe(dateAfter(HOUR).toUTCString());
  });

  it('is the same after the results were deleted, until the job is forgotten', async () => {
    const { app, clock, store, limits } = apiWith({ unknown: 404 });
    const ref = await finished(store);
    const sweeper = limits.sweep({ onExpire: () => undefined, everyMs: '1h' });
    await sweeper.turn();
    clock.advance(HOUR);
    await sweeper.turn();
    await request(app).get(path(ref)).expect(410);
    clock.advance(DAY - HOUR - 1);
    await sweeper.turn();
    await request(app).get(path(ref)).expect(410);
    clock.advance(1);
    await sweeper.turn();
    await request(app).get(path(ref)).expect(404);
    await limits.close();
  });

  it("of: 'metadata' lives as long as they do", async () => {
    const { app, clock, store } = apiWith({ of: 'metadata' });
    const ref = await finished(store);
    clock.advance(DAY - 1);
    const kept = await request(app).get(path(ref)).expect(200);
    expect(kept.headers['sunset']).toBe(dateAfter(DAY).toUTCString());
    expect(kept.body).toMatchObject({ job: { expired: 'results' } });
    clock.advance(1);
    const gone = await request(app).get(path(ref)).expect(410);
    expect(gone.body).toMatchObject({
      error: 'JOB_EXPIRED',
      message: 'This job has expired',
      info: { expiredAt: dateAfter(DAY).toISOString() },
    });
  });

  it('announces nothing of a job that runs, of which nothing is kept, or that is pinned', async () => {
    for (const of of ['results', 'metadata'] as const) {
      const { app, clock, store } = apiWith({ of });
      const running = await runningJob(store);
      const plain = await finished(store, { ...keptTerms(), retention: undefined! });
      const pinned = await finished(store);
      await store.pin(pinned, 'case 7');
      clock.advance(2 * HOUR);
      for (const ref of [running, plain, pinned]) {
        const { headers } = await request(app).get(path(ref)).expect(200);
        expect(headers['sunset']).toBeUndefined();
      }
      await store.unpin(pinned);
      await request(app)
        .get(path(pinned))
        .expect(of === 'results' ? 410 : 200);
    }
  });

  it('announces the new date of what was extended', async () => {
    const { app, clock, store } = apiWith();
    const ref = await finished(store);
    await store.extend(ref, START + 2 * DAY);
    clock.advance(2 * DAY - 1);
    const { headers } = await request(app).get(path(ref)).expect(200);
    expect(headers['sunset']).toBe(dateAfter(2 * DAY).toUTCString());
    clock.advance(1);
    await request(app).get(path(ref)).expect(410);
  });

  it("another customer's job, one that never was, and one that was undone look alike", async () => {
    for (const [unknown, status] of [
      ['pass', 200],
      [404, 404],
    ] as const) {
      const { app, clock, store } = apiWith({ unknown });
      const theirs = await finished(store, keptTerms(), { state: 'completed' }, 'globex');
      const refunded = jobRequest(keptTerms());
      await store.admit(refunded);
      await store.refund(refunded.ref, refunded.run);
      const lapsed = jobRequest(keptTerms());
      await store.admit(lapsed);
      const ids = [theirs.id, refunded.ref.id, lapsed.ref.id, 'never', 'x'.repeat(600)];
      const answers: string[] = [];
      for (const hours of [0, 0, 2]) {
        clock.advance(hours * HOUR + 60_000);
        for (const id of ids) {
          const answer = await request(app).get(`/jobs/${id}`);
          const headers = answer.headers as Record<string, string>;
          answers.push(
            JSON.stringify([answer.status, answer.body, headers['sunset'], headers['content-type']]),
          );
        }
      }
      expect(new Set(answers).size).toBe(1);
      expect(JSON.parse(answers[0]!)).toEqual([
        status,
        status === 200
          ? { read: true, same: true }
          : { error: 'JOB_NOT_FOUND', message: 'There is no such job' },
        null,
        'application/json; charset=utf-8',
      ]);
      await request(app).get(path(theirs)).set('x-customer', 'globex').expect(410);
    }
  });

  it('takes the id, or the job, from where it is told', async () => {
    const refOf = (id: string): JobRef => ({ customer: 'globex', id });
    const { app, clock, store, limits } = apiWith();
    const mine = await finished(store);
    const theirs = await finished(store, keptTerms(), { state: 'completed' }, 'globex');
    const ok: RequestHandler = (_req, res) => void res.send('ok');
    const other = express();
    other.get('/by-query', limits.jobRetention({ id: (req) => req.query['job'] as string }), ok);
    other.get(
      '/shared/:token',
      limits.jobRetention({ ref: (req) => refOf(req.params['token'] as string) }),
      ok,
    );
    other.get(
      '/looked-up/:token',
      limits.jobRetention({ ref: async (req) => Promise.resolve(refOf(req.params['token'] as string)) }),
      ok,
    );
    const statuses = async (): Promise<number[]> => {
      const paths = [`/by-query?job=${mine.id}`, `/shared/${theirs.id}`, `/looked-up/${theirs.id}`];
      return Promise.all(paths.map(async (path) => (await request(other).get(path)).status));
    };
    expect(await statuses()).toEqual([200, 200, 200]);
    clock.advance(HOUR);
    expect(await statuses()).toEqual([410, 410, 410]);
    await request(app).get(path(theirs)).expect(200);
  });

  it('without an id is a fault of the app, told to the error handler before anything else', async () => {
    const limits = jobLimits({ customer: () => undefined });
    const app = express();
    app.use(limits.jobRetention());
    app.get('/jobs/:id', (_req, res) => void res.end());
    jsonErrors(app);
    const answer = await request(app).get('/jobs/one').expect(500);
    expect(answer.body).toMatchObject({ code: 'JOB_ID_MISSING' });
    expect((answer.body as { message: string }).message).toContain("':id'");
  });

  it.each<[string, JobRetentionOptions, number, string]>([
    ['no customer', {}, 401, 'CUSTOMER_MISSING'],
    ['a ref that is none', { ref: () => ({ id: 'x' }) as JobRef }, 400, 'JOB_REF_INVALID'],
    [
      'a ref that throws',
      { ref: () => Promise.reject(Object.assign(new Error('no'), { status: 418, code: 'TEAPOT' })) },
      418,
      'TEAPOT',
    ],
    [
      'an id that throws',
      {
        id: () => {
          throw Object.assign(new Error('no'), { status: 418, code: 'TEAPOT' });
        },
      },
      418,
      'TEAPOT',
    ],
  ])('%s goes to the error handler', async (_what, own, status, code) => {
    const { app } = apiWith(own, { customer: () => undefined });
    expect((await request(app).get('/jobs/one').expect(status)).body).toMatchObject({ code });
  });

  it('is 503 while the store does not answer, and tells it', async () => {
    const { app, store, limits } = apiWith({ unknown: 404 });
    const errors: unknown[] = [];
    limits.on('store-error', ({ operation }) => errors.push(operation));
    store.job = () => Promise.reject(new StoreError('STORE_UNAVAILABLE', 'gone'));
    const answer = await request(app).get('/jobs/one').expect(503);
    expect(answer.body).toMatchObject({ error: 'STORE_UNAVAILABLE' });
    expect(answer.headers['retry-after']).toBe('1');
    expect(errors).toEqual(['job']);
    // It isn't asked for what can't be an id.
    await request(app)
      .get(`/jobs/${'x'.repeat(600)}`)
      .expect(404);
    store.job = () => Promise.reject(new Error('a fault'));
    await request(app).get('/jobs/one').expect(500);
  });

  it('answers as problems, by a function, or by the error handler', async () => {
    for (const [responses, status, expected] of [
      [
        'problem',
        410,
        {
          type: 'about:blank',
          title: 'The results of this job have expired',
          status: 410,
          code: 'JOB_EXPIRED',
          expiredAt: dateAfter(HOUR).toISOString(),
        },
      ],
      ['next', 410, { code: 'JOB_EXPIRED' }],
      [
        ({ code, info }: { code: string; info?: object }) => ({
          status: 404,
          headers: {},
          body: { code, info },
        }),
        404,
        { code: 'JOB_EXPIRED', info: { expiredAt: dateAfter(HOUR).toISOString() } },
      ],
    ] as [JobRetentionOptions['responses'], number, object][]) {
      const { app, clock, store } = apiWith({ responses: responses! });
      const ref = await finished(store);
      clock.advance(HOUR);
      expect((await request(app).get(path(ref)).expect(status)).body).toMatchObject(expected);
    }
  });

  it('answers HEAD as GET, without the body', async () => {
    const { app, clock, store } = apiWith();
    const ref = await finished(store);
    const kept = await request(app).head(path(ref)).expect(200);
    expect(kept.headers['sunset']).toBe(dateAfter(HOUR).toUTCString());
    clock.advance(HOUR);
    const gone = await request(app).head(path(ref)).expect(410);
    expect(gone.headers['content-type']).toBe('application/json; charset=utf-8');
    expect(gone.text).toBeUndefined();
  });

  it.each([
    ['metadata', 'results'],
    ['results', 'metadata'],
  ] as const)(
    'twice on a route, of %s and of %s, announces the earlier end and goes by both',
    async (...of) => {
      const link = 'https://example.com/retention';
      const { app, clock, store } = apiWith(of.map((each) => ({ of: each, link })));
      const ref = await finished(store);
      const kept = await request(app).get(path(ref)).expect(200);
      expect(kept.headers['sunset']).toBe(dateAfter(HOUR).toUTCString());
      expect(kept.headers['link']).toBe(`<${link}>; rel="sunset"`);
      clock.advance(HOUR);
      const gone = await request(app).get(path(ref)).expect(410);
      expect(gone.headers['sunset']).toBe(dateAfter(HOUR).toUTCString());
      expect(gone.body).toMatchObject({ info: { expiredAt: dateAfter(HOUR).toISOString() } });
    },
  );

  it("leaves a host's own earlier Sunset, and its links", async () => {
    const { store, limits } = apiWith();
    const ref = await finished(store);
    const sunset = dateAfter(-HOUR).toUTCString();
    const app = express();
    app.get(
      '/jobs/:id',
      (_req, res, next) => {
        res.set('Sunset', sunset).set('Link', '</docs>; rel="help"');
        next();
      },
      limits.jobRetention({ link: '/retention' }),
      (_req, res) => void res.end(),
    );
    const { headers } = await request(app).get(path(ref)).expect(200);
    expect(headers['sunset']).toBe(sunset);
    expect(headers['link']).toBe('</docs>; rel="help", </retention>; rel="sunset"');
  });

  it('lets pass what it is told to skip', async () => {
    const { app, clock, store } = apiWith({ skip: (req) => req.get('x-admin') === 'yes' });
    const ref = await finished(store);
    clock.advance(HOUR);
    await request(app).get(path(ref)).expect(410);
    const passed = await request(app).get(path(ref)).set('x-admin', 'yes').expect(200);
    expect(passed.body).toEqual({ read: true, same: true });
  });

  it('puts the job where it is told to', async () => {
    const { app, store } = apiWith({}, { requestProperty: { job: 'stored' } });
    const ref = await finished(store);
    expect((await request(app).get(path(ref))).body).toEqual({ read: true, same: false });
  });

  it('works alone', async () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const ref = await finished(store);
    const app = express();
    app.get('/jobs/:id', jobRetention({ store, clock, customer: () => 'acme' }), (req, res) => {
      res.json(storedJobOfRequest(req)?.state);
    });
    expect((await request(app).get(path(ref)).expect(200)).body).toBe('completed');
    clock.advance(HOUR);
    await request(app).get(path(ref)).expect(410);
  });
});

it.each<[object, string]>([
  [{ of: 'both' }, 'jobRetention.of'],
  [{ unknown: 'next' }, 'jobRetention.unknown'],
  [{ unknown: 410 }, 'jobRetention.unknown'],
  [{ id: 'id' }, 'jobRetention.id'],
  [{ link: '' }, 'jobRetention.link'],
  [{ results: '1h' }, 'jobRetention.results'],
])('options %j are refused', (options, option) => {
  const limits = jobLimits({ customer: () => 'acme' });
  expect(() => limits.jobRetention(options as JobRetentionOptions)).toThrow(ConfigError);
  expect(() => limits.jobRetention(options as JobRetentionOptions)).toThrow(option);
});
