import express from 'express';
import { authenticate, host } from './host.js';

const { app, queue } = host();

import { jobLimits, MemoryStore, ManualClock } from 'express-job-limits';

const clock = new ManualClock();
const limits = jobLimits({
  clock,
  customer: (req) => req.user?.accountId,
  plans: { free: { creationRate: { limit: 2, window: '1m' }, concurrency: { limit: 250 } } },
});

// #region order
app.post('/jobs', authenticate, limits.admission(), express.json(), async (req, res) => {
  const queued = await limits.job(req).commit(async (ref) => queue.add('encode', { ref }));
  res.status(201).json({ id: queued.id });
});
// #endregion

const wide = express();
wide.use(authenticate);
// #region match
wide.use(limits.admission({ match: (req) => req.path === '/jobs' }));
// #endregion
wide.post(['/jobs', '/login'], (_req, res) => void res.status(201).end());

const errors200 = express();
errors200.use(authenticate);
// #region successful
errors200.post(
  '/jobs',
  limits.admission({ requestWasSuccessful: (_req, res) => res.getHeader('x-job-made') === 'yes' }),
  (req, res) => {
    const made = req.query.file !== undefined;
    res.set('x-job-made', made ? 'yes' : 'no').json({ ok: made }); // 200 either way
  },
);
// #endregion

// #region standalone
import { admission, jobOfRequest } from 'express-job-limits';

const store = new MemoryStore();
const alone = express();

alone.post(
  '/jobs',
  authenticate,
  admission({
    store,
    customer: (req) => req.user?.accountId,
    plan: { creationRate: { limit: 250, window: '1m' }, concurrency: { limit: 250 } },
  }),
  async (req, res) => {
    const queued = await jobOfRequest(req)!.commit(async (ref) => queue.add('encode', { ref }));
    res.status(201).json({ id: queued.id });
  },
);
// later, in the process that has the store: await store.finish(ref, { state: 'completed' })
// #endregion

export { alone, app, clock, errors200, limits, queue, store, wide };
