import express, { type Express, type Request } from 'express';
import { jobLimits, type JobLimits } from 'express-job-limits';

/** Stands for authentication: the bearer token is the customer. */
const customer = (req: Request): string | undefined => req.get('authorization')?.replace(/^Bearer /, '');

/** An API whose jobs begin with a POST and end with a DELETE. Nothing in it is about metrics. */
export function createApp(): { app: Express; limits: JobLimits } {
  const limits = jobLimits({
    customer,
    plans: {
      free: {
        creationRate: [
          { limit: 5, window: '1m' },
          // Who would notice if it were 3? This one refuses nobody, and is counted.
          { limit: 3, window: '1m', name: 'creation-rate-next', mode: 'shadow' },
        ],
        concurrency: { limit: 4 },
      },
      pro: { concurrency: { limit: 100 } },
    },
    plan: (of) => (of.startsWith('pro-') ? 'pro' : 'free'),
  });

  const app = express();
  app.use(limits.highFrequency({ requests: { limit: 500 } }));
  app.post('/jobs', limits.admission(), async (req, res) => {
    const job = limits.job(req);
    await job.commit();
    res.status(201).json({ id: job.ref.id });
  });
  app.delete('/jobs/:id', async (req, res) => {
    const ref = { customer: customer(req) ?? '', id: req.params.id };
    const answer = await limits.finish(ref, { state: 'cancelled' });
    res.status(answer === 'finished' ? 204 : 404).end();
  });
  return { app, limits };
}
