import { authenticate, host } from './host.js';

const { app } = host();
const create: RequestHandler = (_req, res) => void res.status(201).end();

import type { RequestHandler } from 'express';
import { jobLimits, ManualClock, MemoryStore } from 'express-job-limits';

const clock = new ManualClock();
const store = new MemoryStore({ clock });

// #region alone
import { creationRate } from 'express-job-limits';

app.post(
  '/jobs',
  authenticate,
  creationRate({ store, customer: (req) => req.user?.accountId, limit: 250, window: '1m' }),
  create,
);
// #endregion

const limits = jobLimits({
  clock,
  customer: (req) => req.user?.accountId,
  plans: {
    // #region plan
    pro: {
      creationRate: [
        { name: 'burst', limit: 10, window: '1s' },
        { name: 'per-minute', limit: 250, window: '1m' },
      ],
    },
    // #endregion
  },
});
app.post('/plan', authenticate, limits.admission(), create);

// #region key
app.post(
  '/transcriptions/:model',
  authenticate,
  limits.admission(),
  limits.creationRate({ name: 'by-model', key: (req) => String(req.params.model), limit: 5, window: '1m' }),
  create,
);
// #endregion

export { app, clock, limits, store };
