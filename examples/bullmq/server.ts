import type { AddressInfo } from 'node:net';
import { Queue, QueueEvents } from 'bullmq';
import express, { type ErrorRequestHandler, type Request } from 'express';
import { jobLimits, RedisStore, storedJobOfRequest } from 'express-job-limits';
import { bullJobId, followQueue } from 'express-job-limits/bullmq';
import {
  connect,
  connection,
  heartbeatMs,
  queueName,
  renewWaitingMs,
  resultKey,
  wholeNumber,
  type Work,
} from './settings.js';

const port = wholeNumber('PORT', 3000);
const keptMs = wholeNumber('KEPT_MS', 60_000);

async function main(): Promise<void> {
  const redis = await connect();
  const queue = new Queue<Work>(queueName, {
    connection,
    // The limits say how long jobs are kept, not BullMQ.
    defaultJobOptions: {
      attempts: 3,
      backoff: { type: 'exponential', delay: 10_000 },
      removeOnComplete: false,
      removeOnFail: false,
    },
  });
  // What ended in the last hour is told once more: this process may have been away.
  const queueEvents = new QueueEvents(queueName, { connection, lastEventId: String(Date.now() - 3_600_000) });
  queue.on('error', (error) => console.error(error.message));
  queueEvents.on('error', (error) => console.error(error.message));

  const limits = jobLimits({
    store: new RedisStore({ client: redis }),
    // An example has no accounts: the token is the customer.
    customer: (req) => /^Bearer (\S+)$/.exec(req.get('authorization') ?? '')?.[1],
    plans: {
      free: {
        concurrency: { limit: 2, maxRun: '1h', heartbeat: heartbeatMs },
        jobRetention: { results: keptMs, metadata: '1d' },
      },
    },
  });
  limits.on('finish', ({ ref, answer, state }) => console.log(`${bullJobId(ref)}: ${state}, ${answer}`));
  limits.on('expired', ({ job, due }) => console.log(`${bullJobId(job.ref)}: ${due} deleted`));

  const followed = followQueue({ lifecycle: limits, queueEvents, queue, every: renewWaitingMs });
  const sweeper = limits.sweep({
    everyMs: '2s',
    onExpire: async ({ ref }) => {
      await redis.del(resultKey(bullJobId(ref)));
      const removed = await queue.remove(bullJobId(ref));
      if (removed === 0) throw new Error('A worker still has it; it is tried again later');
    },
  });

  const app = express();
  app.post('/jobs', limits.admission(), express.json(), async (req, res) => {
    const { failures = 0 } = (req.body ?? {}) as Partial<Work>;
    const job = limits.job(req);
    await job.commit((ref) => queue.add('encode', { failures }, { jobId: bullJobId(ref) }));
    res.status(201).json({ id: job.ref.id });
  });

  const storedJob = (req: Request) => storedJobOfRequest(req)!;
  app.get('/jobs/:id', limits.jobRetention({ of: 'metadata', unknown: 404 }), (req, res) => {
    const { ref, state, resultsExpireAt } = storedJob(req);
    res.json({ id: ref.id, state, resultsExpireAt });
  });
  app.get('/jobs/:id/result', limits.jobRetention({ unknown: 404 }), async (req, res) => {
    const result = await redis.get(resultKey(bullJobId(storedJob(req).ref)));
    if (result === null) res.status(409).json({ error: 'NO_RESULT', message: 'There is no result' });
    else res.type('json').send(result);
  });
  app.delete('/jobs/:id', limits.jobRetention({ of: 'metadata', unknown: 404 }), async (req, res) => {
    const { ref } = storedJob(req);
    await limits.finish(ref, { state: 'cancelled' });
    // BullMQ removes no job that a worker has; that one sees it when it renews the job next.
    await queue.remove(bullJobId(ref));
    res.status(202).end();
  });
  app.get('/limits', limits.usage());
  app.use(answerError);

  const server = app.listen(port, () => {
    const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
    console.log(`The API is on ${url} (pid ${process.pid}).`);
    console.log(`curl -i -X POST -H 'Authorization: Bearer acme' ${url}/jobs`);
  });

  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      console.log(`${signal}: closing.`);
      server.close(() => void close());
      server.closeIdleConnections();
    });
  }
  const close = async (): Promise<void> => {
    await Promise.all([followed.stop(), sweeper.stop()]);
    await Promise.all([queueEvents.close(), queue.close(), limits.close()]);
    redis.disconnect();
  };
}

const answerError: ErrorRequestHandler = (
  error: Error & { status?: number; code?: string },
  _req,
  res,
  next,
) => {
  if (res.headersSent) return next(error);
  const { status = 500, code = 'INTERNAL_ERROR', message } = error;
  if (status >= 500) console.error(error);
  res.status(status).json({ error: code, message });
};

void main();
