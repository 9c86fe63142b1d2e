import { authenticate, host } from './host.js';

const { app } = host();

import { jobLimits } from 'express-job-limits';

const limits = jobLimits({
  customer: (req) => req.user?.accountId,
  plans: { free: { creationRate: { limit: 250, window: '1m' } } },
});
app.post('/jobs', authenticate, limits.admission(), (_req, res) => {
  res.status(201).end();
});
const server = app.listen(0, '127.0.0.1');

// #region close
async function shutDown(): Promise<void> {
  await new Promise((closed) => server.close(closed)); // requests under way are answered
  await limits.close(); // what they asked of the store is done, and the timers stop
}
// #endregion

export { limits, server, shutDown };
