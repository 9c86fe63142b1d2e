import express from 'express';
import { authenticate, host } from './host.js';

const { app, queue } = host();

import { jobLimits, readFormPrefix, type ReplayHandler } from 'express-job-limits';

const limits = jobLimits({
  customer: (req) => req.user?.accountId,
  plans: { free: { creationRate: { limit: 250, window: '1m' }, concurrency: { limit: 250 } } },
});

// #region route
app.post(
  '/jobs',
  authenticate,
  limits.admission({
    idempotency: true,
    onReplay: (job, _req, res) => res.status(200).json({ id: job.ref.id, state: job.existing?.state }),
  }),
  async (req, res) => {
    const job = limits.job(req);
    await job.commit(async (ref) => queue.add('encode', { ref }));
    res.status(201).json({ id: job.ref.id });
  },
);
// #endregion

const onReplay: ReplayHandler = (job, _req, res) => res.status(200).json({ id: job.ref.id });
const create: express.RequestHandler = (req, res) => {
  res.status(201).json({ id: limits.job(req).ref.id });
};

const byBody = express();
byBody.use(authenticate);
// #region fingerprint
byBody.post(
  '/jobs',
  express.json(),
  limits.admission({ idempotency: true, onReplay, fingerprint: (req) => JSON.stringify(req.body) }),
  create,
);
// #endregion

const byForm = express();
byForm.use(authenticate);
byForm.post(
  '/uploads',
  limits.admission({
    idempotency: true,
    onReplay,
    // #region fingerprint-form
    fingerprint: async (req) => JSON.stringify(await readFormPrefix(req)),
    // #endregion
  }),
  limits.fileSize({ maxFile: '1gb' }),
  create,
);

export { app, byBody, byForm, limits, queue };
