import express from 'express';
import { jobLimits, ManualClock } from 'express-job-limits';
import { authenticate, host } from './host.js';

const { app } = host();
const clock = new ManualClock();
const limits = jobLimits({
  clock,
  customer: (req) => req.user?.accountId,
  plans: {
    free: {
      creationRate: { limit: 250, window: '1m' },
      concurrency: { limit: 250, maxRun: '8h' },
      quotas: [
        { unit: 'jobs', limit: 10_000, per: 'month' },
        { unit: 'audioSeconds', limit: 36_000, per: 'month' },
      ],
      fileSize: { maxFile: '1gb', maxRequest: '2gb' },
    },
  },
});
app.use(authenticate);
app.post('/jobs', limits.admission(), (_req, res) => void res.status(201).end());

// #region set
async function helpThrough(customer: string): Promise<void> {
  await limits.override(customer, {
    creationRate: { limit: 1_000 },
    reason: 'launch day, agreed by phone',
    author: 'ops@example.com',
    until: '12h',
  });
}
// #endregion

// #region more
async function agree(customer: string): Promise<void> {
  await limits.override(customer, {
    concurrency: { limit: 400 },
    quotas: [{ unit: 'audioSeconds', limit: 360_000 }],
    fileSize: { maxFile: '4gb', maxRequest: '5gb' },
    until: new Date('2026-03-31T22:00:00Z'),
  });
}
// #endregion

// #region block
async function block(customer: string, why: string): Promise<void> {
  await limits.override(customer, { creationRate: { limit: 0 }, reason: why });
}
// #endregion

// #region shadow
async function letThrough(customer: string): Promise<void> {
  await limits.override(customer, { mode: 'shadow', until: '1h', reason: 'we broke their client' });
}
// #endregion

// #region unset
async function removeOverride(customer: string): Promise<void> {
  await limits.override(customer, null);
}
// #endregion

const admin = express();
// #region list
admin.get('/overrides', async (_req, res) => {
  res.json(await limits.overrides());
});
// #endregion

export { admin, agree, app, block, helpThrough, letThrough, limits, removeOverride };
