import type { Due, EndState, JobRef, StoredJob, StoreEvent } from '../stores/store.js';

/** What happens to jobs after their request, for logs and metrics. */
export interface LifecycleEvents {
  renew: { ref: JobRef; answer: string };
  finish: { ref: JobRef; answer: string; state: EndState };
  /** A job was pinned, unpinned, extended or expired by hand. */
  hold: { operation: 'pin' | 'unpin' | 'extend' | 'expireNow'; ref: JobRef; answer: string };
  /** A running job passed `maxRun` and was finished, once: end it where it runs. */
  overrun: { job: StoredJob };
  /** The job's results are about to expire: `notice` of `jobRetention`. */
  expiring: { job: StoredJob };
  /** Results, or metadata, were deleted. */
  expired: { job: StoredJob; due: Due };
  /** A callback of `sweep` failed. It is tried again in `retryInMs`, or never where that is null. */
  'expiry-failed': { job: StoredJob; due: Due; error: unknown; tries: number; retryInMs: number | null };
  /** A turn of a sweeper is over. `lagMs`: how late the latest of its tasks was. */
  swept: SweepReport;
  /** The store failed; what a request was answered then is `onStoreError`'s matter. */
  'store-error': { operation: string; error: unknown };
}

/** What one turn of a sweeper did. */
export interface SweepReport {
  /** Tasks that were claimed: jobs to be ended, announced, or deleted. */
  claimed: number;
  /** Tasks that are done. */
  done: number;
  /** Callbacks that failed. */
  failed: number;
  /** How long after its time the latest task was claimed for the first time, in milliseconds; 0 where there was none. */
  lagMs: number;
  /** How long the turn took, in milliseconds. */
  tookMs: number;
}

export type Tell = <K extends keyof LifecycleEvents>(event: K, value: LifecycleEvents[K]) => void;

/** What a store tells without being asked, by its name, as listeners get it. */
export type StoreEvents = {
  [E in StoreEvent as E['type']]: Omit<E, 'type'>;
};
