import { authenticate, host, type QueuedJob } from './host.js';
import { ManualClock, type JobRef } from 'express-job-limits';

const { app, queue, worker } = host();
const clock = new ManualClock();
async function encode(_job: QueuedJob, onProgress: () => Promise<void>): Promise<void> {
  for (let seconds = 0; seconds < 120; seconds += 30) {
    clock.advance(30_000);
    await onProgress();
  }
}

import { jobLimits } from 'express-job-limits';

const limits = jobLimits({
  clock,
  customer: (req) => req.user?.accountId,
  // #region plan
  plans: { free: { concurrency: { limit: 250, maxRun: '8h', heartbeat: '90s' } } },
  // #endregion
});
app.post('/jobs', authenticate, limits.admission(), async (req, res) => {
  const queued = await limits.job(req).commit(async (ref) => queue.add('encode', { ref }));
  res.status(201).json({ id: queued.id });
});

// #region worker
async function run(job: QueuedJob): Promise<void> {
  await encode(job, async () => {
    await limits.renew(job.data.ref); // at each progress report, here every 30 seconds
  });
  await limits.finish(job.data.ref, { state: 'completed' });
}
// #endregion

export { app, clock, limits, queue, run, worker, type JobRef };
