import { authenticate, host } from './host.js';

const { app } = host();
const list: RequestHandler = (_req, res) => void res.json([]);

import type { RequestHandler } from 'express';

// #region alone
import { requestRate } from 'express-job-limits';

app.get(
  '/jobs',
  authenticate,
  requestRate({ customer: (req) => req.user?.accountId, limit: 3, window: '5m' }),
  list,
);
// #endregion

import { jobLimits } from 'express-job-limits';

const byPlan = host().app;
byPlan.use(authenticate);
const limits = jobLimits({
  customer: (req) => req.user?.accountId,
  plan: (customer) => (customer === 'acme' ? 'free' : 'unlimited'),
  // #region plan
  plans: {
    free: { requestRate: { limit: 1, window: '1s' } },
    unlimited: {},
  },
  // #endregion
});
// #region use
byPlan.use(limits.requestRate({ skip: (req) => req.method === 'POST' })); // creations have limits of their own
// #endregion
byPlan.all('/jobs', list);

const shared = host().app;
shared.use(authenticate);
// #region limiter
import { RateLimiterMemory } from 'rate-limiter-flexible';

const limiter = new RateLimiterMemory({ keyPrefix: 'reads', points: 2, duration: 300, blockDuration: 60 });
shared.use(requestRate({ customer: (req) => req.user?.accountId, name: 'reads', limiter }));
// #endregion
shared.get('/jobs', list);

export { app, byPlan, limits, shared };
