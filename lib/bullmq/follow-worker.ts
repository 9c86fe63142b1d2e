import type { Worker } from 'bullmq';
import type { Lifecycle } from '../jobs/lifecycle.js';
import { checkOptions, having } from '../options.js';
import { refOfBullJob } from './job-id.js';

/** Options of `followWorker()`. */
export interface FollowWorkerOptions {
  /** `jobLifecycle()`, or `jobLimits()`, on the store that admitted the jobs. */
  lifecycle: Pick<Lifecycle, 'renew'>;
  /** The worker, in this process. What fails here is emitted by it as `error`. */
  worker: Pick<Worker, 'on' | 'emit'>;
}

/**
 * Heartbeats for plans with `heartbeat`: a job is renewed when the worker takes it, and then whenever BullMQ renews the
 * worker's lock on it. When the lock is lost, so is the heartbeat.
 *
 * @throws {ConfigError}
 */
export function followWorker(options: FollowWorkerOptions): void {
  const { lifecycle, worker } = checkOptions('followWorker', options, {
    lifecycle: having<FollowWorkerOptions['lifecycle']>('jobLifecycle()', 'renew'),
    worker: having<FollowWorkerOptions['worker']>('a Worker', 'on', 'emit'),
  });
  const renew = (jobId: string | undefined): void => {
    const ref = refOfBullJob(jobId);
    // The next renewal makes up for one that fails.
    if (ref) lifecycle.renew(ref).catch((error: unknown) => worker.emit('error', error as Error));
  };
  worker.on('active', ({ id }) => renew(id));
  worker.on('locksRenewed', ({ jobIds }) => jobIds.forEach(renew));
}
