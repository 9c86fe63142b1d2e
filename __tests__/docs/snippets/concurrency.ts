import { authenticate, host } from './host.js';

const { app, queue, worker } = host();
const create: RequestHandler = (_req, res) => void res.status(201).end();

import type { RequestHandler } from 'express';
import { jobLimits } from 'express-job-limits';

// #region job
import { concurrency, jobOfRequest, MemoryStore } from 'express-job-limits';

const store = new MemoryStore();

app.post(
  '/jobs',
  authenticate,
  concurrency({ store, customer: (req) => req.user?.accountId, limit: 2, hold: 'job' }),
  async (req, res) => {
    const job = jobOfRequest(req)!;
    await job.commit(async (ref) => queue.add('encode', { ref }));
    res.status(201).json({ id: job.ref.id });
  },
);

worker.on('completed', ({ data }) => store.finish(data.ref, { state: 'completed' }));
worker.on('failed', ({ data }) => store.finish(data.ref, { state: 'failed' }));
// #endregion

const renderToPng = async (): Promise<Buffer> => {
  await rendering.gate;
  return Buffer.from('png');
};
const rendering = { gate: Promise.resolve() };

// #region request
app.get(
  '/preview',
  authenticate,
  concurrency({
    store,
    customer: (req) => req.user?.accountId,
    name: 'previews',
    limit: 1,
    hold: 'request',
    methods: ['GET'],
  }),
  async (_req, res) => {
    res.type('png').send(await renderToPng()); // the slot is held until here
  },
);
// #endregion

const limits = jobLimits({
  customer: (req) => req.user?.accountId,
  plans: { pro: { concurrency: { limit: 3 } } },
});

// #region key
app.post(
  '/transcriptions/:model',
  authenticate,
  limits.admission(), // 3 of all models, by the plan
  limits.concurrency({
    name: 'by-model',
    key: (req) => String(req.params.model),
    limit: 1,
    hold: 'job',
  }),
  create,
);
// #endregion

const runningInQueue = async (_customer: string): Promise<string[]> => [];
// #region reconcile
async function reconcileAll(customers: string[]): Promise<void> {
  for (const customer of customers) {
    const { finished, restored } = await limits.reconcile(customer, await runningInQueue(customer));
    if (finished.length + restored.length > 0) console.log({ customer, finished, restored });
  }
}
// #endregion

export { app, limits, queue, reconcileAll, rendering, store, worker };
