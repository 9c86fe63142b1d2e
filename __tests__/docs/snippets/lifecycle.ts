import { host, type QueuedJob } from './host.js';
import { ManualClock, MemoryStore, type JobRef, type StoredJob, type SweepReport } from 'express-job-limits';

const { queue, worker } = host();
const clock = new ManualClock();
const store = new MemoryStore({ clock });
/** Stands for the work, which a signal can end. */
const encoder = { run: async (_data: object, _signal: AbortSignal): Promise<number> => 754 };

// #region worker
import { jobLifecycle } from 'express-job-limits';

const jobs = jobLifecycle({ store });

worker.on('completed', ({ data }) => jobs.finish(data.ref, { state: 'completed' }));
worker.on('failed', ({ data }) => jobs.finish(data.ref, { state: 'failed' }));
// #endregion

// #region renew-while
async function run({ data }: QueuedJob): Promise<void> {
  const seconds = await jobs.renewWhile(
    data.ref,
    (signal) => encoder.run(data, signal), // ends early when the signal is aborted
    { every: '30s' }, // a third of the heartbeat
  );
  await jobs.finish(data.ref, { state: 'completed', units: { audioSeconds: seconds } });
}
// #endregion

// #region retention
async function finishArchived(ref: JobRef): Promise<void> {
  await jobs.finish(ref, { state: 'completed', retention: { results: '10y' } });
}
// #endregion

// #region holds
async function legalHold(ref: JobRef): Promise<boolean> {
  const answer = await jobs.pin(ref, 'case 2026-117');
  return answer === 'pinned'; // 'expired': too late
}

async function release(ref: JobRef): Promise<void> {
  await jobs.unpin(ref);
}

async function keepForAnotherWeek(job: StoredJob): Promise<void> {
  if (job.resultsExpireAt === undefined) return;
  await jobs.extend(job.ref, job.resultsExpireAt + 7 * 24 * 3_600_000);
}

async function deleteOnRequest(ref: JobRef): Promise<void> {
  await jobs.expireNow(ref); // the next turn of a sweeper deletes them
}
// #endregion

// #region list
async function jobsOf(customer: string): Promise<string[]> {
  const { running, kept } = await jobs.jobs.list(customer);
  return [...running, ...kept].map(({ ref, state }) => `${ref.id}: ${state}`);
}
// #endregion

/** Stands for where results are kept. */
const storage = {
  deleted: [] as string[],
  fails: false,
  async delete(path: string, _options: { idempotencyKey: string; signal: AbortSignal }): Promise<void> {
    if (storage.fails) throw new Error('no such bucket');
    storage.deleted.push(path);
  },
};

// #region sweep
const sweeper = jobs.sweep({
  onExpire: async ({ ref }, { id, signal }) => {
    await storage.delete(`results/${ref.customer}/${ref.id}`, { idempotencyKey: id, signal });
  },
});
// #endregion

const log = (...line: unknown[]): void => void lines.push(line);
const lines: unknown[][] = [];
const stopWork = (ref: JobRef): void => void stopped.push(ref);
const stopped: JobRef[] = [];

// #region events
jobs.on('overrun', ({ job }) => stopWork(job.ref)); // nobody counts it any more
jobs.on('expiring', ({ job }) => log('will be gone soon', job.ref));
jobs.on('expiry-failed', ({ job, error, retryInMs }) => {
  if (retryInMs === null) log('given up', job.ref, error);
});
jobs.on('unswept', ({ since }) => log('nobody sweeps since', new Date(since)));
// #endregion

// #region stop
async function shutDown(): Promise<void> {
  await jobs.close(); // or sweeper.stop(): what is begun is ended
}
// #endregion

export {
  clock,
  deleteOnRequest,
  encoder,
  finishArchived,
  jobs,
  jobsOf,
  keepForAnotherWeek,
  legalHold,
  lines,
  queue,
  release,
  run,
  shutDown,
  stopped,
  storage,
  store,
  sweeper,
  worker,
  type SweepReport,
};
