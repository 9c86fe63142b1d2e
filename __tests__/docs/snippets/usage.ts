import { authenticate, host } from './host.js';

const { app } = host();

import { jobLimits, ManualClock } from 'express-job-limits';

const clock = new ManualClock();
const limits = jobLimits({
  clock,
  customer: (req) => req.user?.accountId,
  plans: { free: { creationRate: { limit: 250, window: '1m' }, concurrency: { limit: 250 } } },
});
let nextId = 1;
app.post('/jobs', authenticate, limits.admission({ jobId: () => `job-${nextId++}` }), (_req, res) => {
  res.status(201).end();
});

// #region route
app.get('/limits', authenticate, limits.usage());
// #endregion

// #region code
async function slotsLeft(customer: string): Promise<number | null> {
  const { limits: all } = await limits.usageOf(customer);
  return all.find(({ name }) => name === 'concurrency')?.remaining ?? null;
}
// #endregion

export { app, clock, limits, slotsLeft };
