import { authenticate, host } from './host.js';

const { app } = host();
const lines: unknown[][] = [];
const log = {
  info: (...line: unknown[]) => void lines.push(line),
  warn: (...line: unknown[]) => void lines.push(line),
};

import { jobLimits } from 'express-job-limits';

const limits = jobLimits({
  customer: (req) => req.user?.accountId,
  plans: { free: { creationRate: { limit: 1, window: '1m' } } },
});
app.post('/jobs', authenticate, limits.admission(), (_req, res) => {
  res.status(201).end();
});

// #region listeners
limits.on('decision', ({ customer, decision }) => {
  if (!decision.allowed) log.info('refused', customer, decision.code, decision.limit);
  for (const name of decision.shadowed) log.info('would refuse', customer, name);
});
limits.on('lapsed', ({ ref }) => log.warn('never committed', ref));
limits.on('store-error', ({ operation, error }) => log.warn('store failed', operation, error));
// #endregion

export { app, limits, lines };
