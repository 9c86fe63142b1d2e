import { count, duration, func, having, optional, timerDuration, withDefault } from '../options.js';
import type { StoredJob } from '../stores/store.js';
import type { Duration } from '../units.js';

/** Deletes something of a job that has expired. Called at least once; the store lets go of it only after it succeeded. */
export type OnExpire = (job: StoredJob, task: ExpiryTask) => unknown;

export interface ExpiryTask {
  /** The same for every try of this deletion and for no other. At most 1,200 bytes. */
  id: string;
  /** How often it was claimed, this time included. */
  tries: number;
  /** Aborted when the callback has taken nearly all of `leaseMs`: it has failed then, and is tried again. */
  signal: AbortSignal;
}

export interface SweepOptions {
  /** Deletes a job's results. */
  onExpire: OnExpire;
  /** Deletes what the host knows of a job, at the end of `metadata`. @default nothing: the store's record alone goes */
  onMetadataExpire?: OnExpire;
  /** The most jobs that are claimed at a time. 1 to 1,000. @default 100 */
  batch?: number;
  /** How often it is looked for due jobs. At least 10 ms. @default '10s' */
  everyMs?: Duration;
  /** How many callbacks run at once. At least 1. @default 10 */
  concurrency?: number;
  /**
   * How long claimed jobs are this sweeper's alone, and a callback may take at most. At least a second. After a crash they
   * come up again that much later. @default '1m'
   */
  leaseMs?: Duration;
  /** How often a deletion is tried before it is given up, with an event. At least 1. @default 10 */
  mostTries?: number;
  /** The longest that a turn goes on claiming; the rest is left to the next one. At least 1 ms. @default '30s' */
  turnMs?: Duration;
  /** Stops the sweeper when it is aborted. */
  signal?: AbortSignal;
}

export const sweepChecks = {
  onExpire: func<OnExpire>(),
  onMetadataExpire: optional(func<OnExpire>()),
  batch: withDefault(count({ min: 1, max: 1_000 }), 100),
  everyMs: withDefault(timerDuration({ min: 10 }), 10_000),
  concurrency: withDefault(count({ min: 1 }), 10),
  leaseMs: withDefault(timerDuration({ min: 1_000 }), 60_000),
  mostTries: withDefault(count({ min: 1 }), 10),
  turnMs: withDefault(duration({ min: 1 }), 30_000),
  signal: optional(having<AbortSignal>('an AbortSignal', 'addEventListener', 'removeEventListener')),
};

/** The options of a sweeper, checked and parsed. */
export type SweepSettings = Omit<
  { [K in keyof typeof sweepChecks]: ReturnType<(typeof sweepChecks)[K]> },
  'signal'
>;
