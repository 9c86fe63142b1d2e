import { randomUUID } from 'node:crypto';
import type { Redis } from 'ioredis';
// #region imports
import { Queue, QueueEvents, Worker } from 'bullmq';
import { jobLifecycle, jobLimits, RedisStore, type JobRef } from 'express-job-limits';
import { bullJobId, followQueue, followWorker, refOfBullJob } from 'express-job-limits/bullmq';
// #endregion
import { authenticate, host } from './host.js';

interface Host {
  connection: { url: string };
  client: Redis;
  log: { error: (error: Error) => void };
  encode: (file: string, signal?: AbortSignal) => Promise<void>;
  deleteResults: (ref: JobRef) => Promise<void>;
}

/** The API's process of docs/reference/bullmq.md. */
export function api({ connection, client, log, deleteResults }: Host) {
  const { app } = host();
  // #region api
  const queue = new Queue('encode', { connection });
  const anHourAgo = String(Date.now() - 3_600_000);
  const queueEvents = new QueueEvents('encode', { connection, lastEventId: anHourAgo });
  queueEvents.on('error', (error) => log.error(error));

  const limits = jobLimits({
    store: new RedisStore({ client }),
    customer: (req) => req.user?.accountId,
    plans: {
      free: {
        concurrency: { limit: 250, maxRun: '8h', heartbeat: '90s' },
        jobRetention: { results: '24h', metadata: '90d' },
      },
    },
  });
  const followed = followQueue({ lifecycle: limits, queueEvents, queue });

  app.post('/jobs', authenticate, limits.admission(), async (req, res) => {
    const job = limits.job(req);
    await job.commit((ref) => queue.add('encode', { file: 'a.mp4' }, { jobId: bullJobId(ref) }));
    res.status(201).json({ id: job.ref.id });
  });
  // #endregion

  // #region retention
  const sweeper = limits.sweep({
    onExpire: async ({ ref }) => {
      await deleteResults(ref);
      const removed = await queue.remove(bullJobId(ref));
      if (removed === 0) throw new Error('a worker still has it'); // it is tried again later
    },
  });
  // #endregion

  // #region cancel
  async function cancel(ref: JobRef): Promise<void> {
    await limits.finish(ref, { state: 'cancelled' });
    await queue.remove(bullJobId(ref)); // removes nothing where a worker has it
  }
  // #endregion

  // #region reconcile
  async function reconcile(customer: string): Promise<void> {
    const states = ['active', 'waiting', 'prioritized', 'delayed', 'waiting-children'] as const;
    const refs = (await queue.getRanges([...states], 0, -1)).map(refOfBullJob);
    const ids = refs.filter((ref) => ref?.customer === customer).map((ref) => ref!.id);
    await limits.reconcile(customer, ids);
  }
  // #endregion

  // #region replay
  app.post(
    '/encodings',
    authenticate,
    limits.admission({
      jobId: (req) => req.get('idempotency-key') ?? randomUUID(),
      onReplay: async ({ ref, existing }, _req, res) => {
        // BullMQ adds nothing where it has the job.
        if (existing?.state === 'running') {
          await queue.add('encode', { file: 'a.mp4' }, { jobId: bullJobId(ref) });
        }
        res.status(200).json({ id: ref.id });
      },
    }),
    async (req, res) => {
      const job = limits.job(req);
      await job.commit((ref) => queue.add('encode', { file: 'a.mp4' }, { jobId: bullJobId(ref) }));
      res.status(201).json({ id: job.ref.id });
    },
  );
  // #endregion

  // #region close
  async function close(): Promise<void> {
    await Promise.all([followed.stop(), sweeper.stop()]);
    await Promise.all([queueEvents.close(), queue.close(), limits.close()]);
  }
  // #endregion
  return { app, limits, queue, sweeper, cancel, reconcile, close };
}

/** The worker's process. */
export function workerOf({ connection, client, log, encode }: Host) {
  // #region worker
  const lifecycle = jobLifecycle({ store: new RedisStore({ client }) });
  const worker = new Worker<{ file: string }>(
    'encode',
    async (job, _token, signal) => {
      await encode(job.data.file, signal);
    },
    { connection },
  );
  worker.on('error', (error) => log.error(error));
  followWorker({ lifecycle, worker });
  // #endregion

  // #region ended
  lifecycle.on('renew', ({ ref, answer }) => {
    const ended = answer === 'finished' || answer === 'refunded' || answer === 'overrun';
    if (ended) worker.cancelJob(bullJobId(ref), answer); // aborts the processor's signal
  });
  // #endregion
  return worker;
}
