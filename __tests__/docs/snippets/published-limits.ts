// #region plans
import { definePlans } from 'express-job-limits';

export const plans = definePlans({
  transloadit: {
    creationRate: { limit: 250, window: '1m' },
    concurrency: { limit: 250, maxRun: '8h' },
    jobRetention: { results: '24h', metadata: '90d' },
  },
  hume: {
    concurrency: { limit: 5 }, // by account tier: a plan each
    urlCount: { recommended: 100 },
    archiveLimits: { formats: ['zip', 'tar.gz'] },
  },
  speechmatics: {
    creationRate: { limit: 10, window: '1s' },
    concurrency: { limit: 20_000 },
    quotas: { unit: 'audioSeconds', limit: 2 * 3600, per: 'month' },
    requestRate: { limit: 50, window: '1s' }, // on the routes that read
    fileSize: { maxFile: '1gb' },
    jobRetention: { results: '7d' },
  },
  assemblyai: {
    requestRate: { limit: 20_000, window: '5m' },
    fileSize: { maxFile: '5gb' },
  },
  deepgram: {
    concurrency: { limit: 100 }, // the routes have further limits, see below
  },
  openaiBatch: {
    storage: [
      // Given back at the end of the job, by finish(ref, { state, units: { 'tokens.large': 0 } }).
      { unit: 'tokens.large', limit: 90_000 },
      { unit: 'tokens.small', limit: 2_000_000 },
    ],
    fileSize: { maxFile: '200mb' },
    jobRetention: { results: '30d' }, // or what finish(ref, { state, retention }) says
  },
  awsTranscribe: {
    creationRate: { limit: 25, window: '1s' },
    concurrency: { limit: 250 },
    fileSize: { maxFile: '2gb' },
    jobRetention: { results: '90d' },
  },
  salesforceBulk: {
    creationRate: { limit: 15_000, window: '24h' },
    quotas: { unit: 'records', limit: 150_000_000, per: 'day' },
    fileSize: { maxFile: '150mb' },
    jobRetention: { results: '7d' },
  },
  soniox: {
    concurrency: { limit: 100 },
    storage: [
      { unit: 'jobs', limit: 2_000 },
      { unit: 'files', limit: 1_000 },
      { unit: 'bytes', limit: '10gb' },
    ],
    jobRetention: { results: '30d' },
  },
});
// #endregion

import type { RequestHandler } from 'express';
import { jobLimits, ManualClock } from 'express-job-limits';
import { authenticate, host } from './host.js';

const { app } = host();
const clock = new ManualClock();
const limits = jobLimits({
  clock,
  customer: (req) => req.user?.accountId,
  plans: { deepgram: plans.deepgram },
  deniedStatus: 429,
});
const accepted: RequestHandler = (_req, res) => void res.status(202).end();
const speech = { stream: accepted };

// #region routes
// 100 at once, of which 5 of one model: all of them are checked, and the lowest refuses.
app.post(
  '/listen/:model',
  authenticate,
  limits.admission(),
  limits.concurrency({
    name: 'by-model',
    limit: 5,
    hold: 'job',
    key: (req) => req.params['model'] as string,
  }),
  accepted,
);
// 50 streams at once, each as long as its request is open.
app.post(
  '/stream',
  authenticate,
  limits.concurrency({ name: 'streams', limit: 50, hold: 'request' }),
  (req, res, next) => speech.stream(req, res, next),
);
// #endregion

export { app, limits, speech };
