import express from 'express';
import type { RequestHandler } from 'express';
import { jobLimits } from 'express-job-limits';
import { authenticate } from './host.js';

const app = express();
const create: RequestHandler = (_req, res) => void res.status(201).end();
const accounts = { find: async (customer: string) => ({ tier: customer === 'acme' ? 'free' : 'pro' }) };

const limits = jobLimits({
  customer: (req) => req.user?.accountId,
  plan: async (customer) => (await accounts.find(customer)).tier,
  // #region plans
  plans: {
    free: {
      creationRate: { limit: 250, window: '1m' },
      fileSize: { maxFile: '100mb', maxRequest: '500mb' },
      archiveLimits: { maxEntries: 500, maxUncompressed: '1gb' },
      urlCount: { limit: 100 },
    },
    pro: {
      creationRate: { limit: 2_500, window: '1m' },
      fileSize: { maxFile: '10gb', maxRequest: '10gb' },
    },
  },
  // #endregion
});

// #region route
app.post(
  '/jobs',
  authenticate,
  limits.admission(),
  limits.fileSize(),
  limits.archiveLimits(),
  limits.urlCount({ from: 'input.urls' }),
  create,
);
// #endregion

export { app, limits };
