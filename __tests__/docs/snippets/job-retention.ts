import { authenticate, host, type QueuedJob } from './host.js';
import type { RequestHandler } from 'express';
import { ManualClock, storedJobOfRequest, type JobRef } from 'express-job-limits';

const { app, queue, worker } = host();
const clock = new ManualClock();
/** Stands for where the host keeps its results and what it knows of its jobs. */
const bucket = new Map<string, string>();
const database = new Map<string, string>();
const showJob: RequestHandler = (req, res) => {
  res.json({ state: database.get(req.params['id'] as string) });
};
const sendResults: RequestHandler = (req, res) => {
  res.send(bucket.get(storedJobOfRequest(req)!.ref.id));
};
const refIn = (token: string): JobRef => JSON.parse(Buffer.from(token, 'base64url').toString()) as JobRef;

import { jobLimits } from 'express-job-limits';

const limits = jobLimits({
  clock,
  customer: (req) => req.user?.accountId,
  // #region plan
  plans: {
    free: {
      concurrency: { limit: 250 },
      jobRetention: { results: '24h', metadata: '90d' },
    },
  },
  // #endregion
});
app.post('/jobs', authenticate, limits.admission(), async (req, res) => {
  const queued = await limits.job(req).commit(async (ref) => queue.add('encode', { ref }));
  res.status(201).json({ id: queued.data.ref.id });
});
worker.on('completed', ({ data }: QueuedJob) => {
  bucket.set(data.ref.id, 'the results');
  database.set(data.ref.id, 'completed');
  return limits.finish(data.ref, { state: 'completed' });
});

// #region routes
app.get('/jobs/:id', authenticate, limits.jobRetention({ of: 'metadata' }), showJob);
app.get('/jobs/:id/results', authenticate, limits.jobRetention(), sendResults);
// #endregion

// #region sweep
const sweeper = limits.sweep({
  onExpire: async (job) => bucket.delete(job.ref.id),
  onMetadataExpire: async (job) => database.delete(job.ref.id),
});
// #endregion

// #region ref
app.get(
  '/downloads/:token',
  limits.jobRetention({ ref: (req) => refIn(req.params.token as string), unknown: 404 }),
  sendResults,
);
// #endregion

export { app, bucket, clock, database, limits, queue, sweeper, worker };
