import { authenticate, host } from './host.js';

const { app } = host();

import { jobLimits } from 'express-job-limits';

const limits = jobLimits({
  customer: (req) => req.user?.accountId,
  plans: { free: { creationRate: { limit: 1, window: '1m' } } },
  responses: 'next',
});
app.post('/jobs', authenticate, limits.admission(), (_req, res) => {
  res.status(201).end();
});

// #region handler
import type { NextFunction, Request, Response } from 'express';
import { LimitError, RequestError } from 'express-job-limits';

app.use((error: unknown, _req: Request, res: Response, next: NextFunction) => {
  if (error instanceof RequestError || error instanceof LimitError) {
    if (error instanceof LimitError) res.set(error.headers);
    res.status(error.status).json({ error: error.code });
  } else next(error);
});
// #endregion

export { app, limits };
