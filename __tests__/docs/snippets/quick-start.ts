import { authenticate, host } from './host.js';

const { app, queue, worker } = host();

// #region app
import { jobLimits } from 'express-job-limits';

const limits = jobLimits({
  customer: (req) => req.user?.accountId, // who is limited: your authenticated customer
  plans: { free: { creationRate: { limit: 250, window: '1m' }, concurrency: { limit: 250, maxRun: '8h' } } },
});

app.post('/jobs', authenticate, limits.admission(), async (req, res) => {
  const queued = await limits.job(req).commit(async (ref) => queue.add('encode', { ref }));
  res.status(201).json({ id: queued.id });
});
app.get('/limits', authenticate, limits.usage());

worker.on('completed', ({ data }) => limits.finish(data.ref, { state: 'completed' }));
// For good, not at each of several attempts: with BullMQ, take followQueue.
worker.on('failed', ({ data }) => limits.finish(data.ref, { state: 'failed' }));
// #endregion

export { app, limits, queue, worker };
