import express, { type Express } from 'express';
import request from 'supertest';
import { jobLimits, ManualClock, type JobLimits, type JobRef, type Plan } from '../../lib/index.js';

const HOUR = 3_600_000;
const DAY = 24 * HOUR;
const START = Date.UTC(2026, 0, 1);

/** An API that keeps its results in a map, and deletes them as it is told. */
function api(free: Plan) {
  const clock = new ManualClock();
  const limits: JobLimits = jobLimits({ clock, customer: (req) => req.get('x-customer'), plans: { free } });
  const results = new Map<string, string>();
  const queue: JobRef[] = [];
  const app: Express = express();
  app.post('/jobs', limits.admission(), async (req, res) => {
    const { id } = await limits.job(req).commit((ref) => (queue.push(ref), ref));
    res.status(201).json({ id });
  });
  app.get('/jobs/:id', limits.jobRetention({ of: 'metadata', unknown: 404 }), (req, res) => {
    res.json({ id: req.params['id'] });
  });
  app.get('/jobs/:id/results', limits.jobRetention({ unknown: 404 }), (req, res) => {
    const text = results.get(req.params['id'] as string);
    if (text === undefined) res.sendStatus(404);
    else res.send(text);
  });
  app.get('/limits', limits.usage());
  const sweeper = limits.sweep({
    onExpire: ({ ref }) => void results.delete(ref.id),
    everyMs: '20d',
  });
  const as = (test: request.Test): request.Test => test.set('x-customer', 'acme');
  return {
    limits,
    results,
    get: (path: string) => as(request(app).get(path)),
    sweep: () => sweeper.turn(),
    advance: (ms: number) => clock.advance(ms),
    /** Creates a job. */
    create: async (): Promise<JobRef> => {
      await as(request(app).post('/jobs')).expect(201);
      return queue.pop()!;
    },
    /** Ends it, as a worker does. */
    end: async (ref: JobRef, state: 'completed' | 'failed' = 'completed'): Promise<void> => {
      results.set(ref.id, `results of ${ref.id}`);
      await limits.finish(ref, { state });
    },
  };
}

const plan: Plan = {
  concurrency: { limit: 10 },
  jobRetention: { results: '24h', metadata: '90d', notice: '1h', failed: { results: '1h', metadata: '7d' } },
};

it('follows a job from its creation until nothing is left of it', async () => {
  const { limits, results, create, end, get, sweep, advance } = api(plan);
  await sweep();
  const ref = await create();
  const announced: number[] = [];
  limits.on('expiring', ({ job }) => announced.push(job.resultsExpireAt! - START));

  // While it runs, nothing says when it will be gone.
  const running = await get(`/jobs/${ref.id}`).expect(200);
  expect(running.headers['sunset']).toBeUndefined();

  await end(ref);
  const kept = await get(`/jobs/${ref.id}/results`).expect(200);
  expect(kept.headers['sunset']).toBe(new Date(START + DAY).toUTCString());
  const status = await get(`/jobs/${ref.id}`).expect(200);
  expect(status.headers['sunset']).toBe(new Date(START + 90 * DAY).toUTCString());
  const limitsNow = (await get('/limits').expect(200)).body as { running: object[]; kept: object[] };
  expect(limitsNow.running).toEqual([]);
  expect(limitsNow.kept).toMatchObject([
    { id: ref.id, state: 'completed', resultsExpireAt: new Date(START + DAY).toISOString() },
  ]);

  advance(23 * HOUR);
  await sweep();
  expect(announced).toEqual([DAY]);
  advance(HOUR);
  // The sweeper hasn't run: the results are there, and gone for the client.
  expect(results.size).toBe(1);
  await get(`/jobs/${ref.id}/results`).expect(410);
  await sweep();
  expect(results.size).toBe(0);
  await get(`/jobs/${ref.id}/results`).expect(410);
  await get(`/jobs/${ref.id}`).expect(200);

  advance(89 * DAY);
  await get(`/jobs/${ref.id}`).expect(410);
  await sweep();
  await get(`/jobs/${ref.id}`).expect(404);
  await limits.close();
});

it('keeps what failed for as long as the plan says', async () => {
  const { limits, create, end, get, advance } = api(plan);
  const ref = await create();
  await end(ref, 'failed');
  advance(HOUR - 1);
  await get(`/jobs/${ref.id}/results`).expect(200);
  advance(1);
  await get(`/jobs/${ref.id}/results`).expect(410);
  await limits.close();
});

it('jobs admitted before their plan was shortened keep the times that they were admitted on', async () => {
  const { limits, results, create, end, get, sweep, advance } = api(plan);
  await sweep();
  const finished = await create();
  await end(finished);
  const running = await create();
  limits.setPlans({ free: { ...plan, jobRetention: { results: '1h', metadata: '2d' } } });
  const later = await create();
  await end(running);
  await end(later);
  advance(HOUR);
  await sweep();
  expect([...results.keys()].sort()).toEqual([finished.id, running.id].sort());
  await get(`/jobs/${later.id}/results`).expect(410);
  for (const { id } of [finished, running]) {
    const { headers } = await get(`/jobs/${id}/results`).expect(200);
    expect(headers['sunset']).toBe(new Date(START + DAY).toUTCString());
  }
  advance(23 * HOUR);
  for (const { id } of [finished, running]) await get(`/jobs/${id}/results`).expect(410);
  await limits.close();
});

it('a job of a plan without retention is remembered for a day, and its results are the host’s own matter', async () => {
  const { limits, create, end, get, sweep, advance } = api({ concurrency: { limit: 10 } });
  const ref = await create();
  await end(ref);
  const { headers } = await get(`/jobs/${ref.id}/results`).expect(200);
  expect(headers['sunset']).toBeUndefined();
  advance(DAY - 1);
  expect(await sweep()).toMatchObject({ claimed: 0 });
  await get(`/jobs/${ref.id}/results`).expect(200);
  advance(1);
  await get(`/jobs/${ref.id}/results`).expect(404);
  await limits.close();
});
