import { authenticate, host } from './host.js';
import { ManualClock } from 'express-job-limits';

const { app, queue, worker } = host();
const clock = new ManualClock();

// #region plan
import { jobLimits } from 'express-job-limits';

const limits = jobLimits({
  clock,
  customer: (req) => req.user?.accountId,
  plans: {
    free: {
      quotas: [
        { unit: 'jobs', limit: 10_000, per: 'month' },
        { unit: 'audioSeconds', limit: 36_000, per: 'month' },
      ],
      storage: [
        { unit: 'jobs', limit: 2_000 },
        { unit: 'bytes', limit: '10gb' },
      ],
      jobRetention: { results: '7d' },
    },
  },
});
// #endregion

// #region cost
const cost = (req: { get(name: string): string | undefined }) => ({
  audioSeconds: Number(req.get('x-audio-seconds') ?? 600), // what the client announces, else a guess
  bytes: Number(req.get('content-length') ?? 0),
});

app.post('/jobs', authenticate, limits.admission({ cost }), async (req, res) => {
  const queued = await limits.job(req).commit(async (ref) => queue.add('transcribe', { ref }));
  res.status(201).json({ id: queued.id });
});
// #endregion

const measured = { seconds: 0, bytes: 0 };

// #region settle
worker.on('completed', ({ data }) =>
  limits.finish(data.ref, {
    state: 'completed',
    units: { audioSeconds: measured.seconds, bytes: measured.bytes },
  }),
);
// #endregion
// #region failed
worker.on('failed', ({ data }) =>
  limits.finish(data.ref, { state: 'failed', units: { audioSeconds: 0, bytes: 0 } }),
);
// #endregion

export { app, clock, limits, measured, queue, worker };
