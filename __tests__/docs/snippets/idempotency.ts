import { randomUUID } from 'node:crypto';
import { authenticate, host } from './host.js';

const { app, queue } = host();

import { jobLimits } from 'express-job-limits';

const limits = jobLimits({
  customer: (req) => req.user?.accountId,
  plans: { free: { creationRate: { limit: 250, window: '1m' }, concurrency: { limit: 250 } } },
});

// #region route
app.post(
  '/jobs',
  authenticate,
  limits.admission({
    jobId: (req) => req.get('idempotency-key') ?? randomUUID(),
    onReplay: (job, _req, res) => res.status(200).json({ id: job.ref.id, state: job.existing?.state }),
  }),
  async (req, res) => {
    const job = limits.job(req);
    await job.commit(async (ref) => queue.add('encode', { ref }));
    res.status(201).json({ id: job.ref.id });
  },
);
// #endregion

export { app, limits, queue };
