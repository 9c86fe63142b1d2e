import type { Clock } from '../clock.js';
import { checkOptions, count, duration, func, having, optional, withDefault } from '../options.js';
import type { Claim, LimitStore, StoredJob } from '../stores/store.js';
import type { Duration } from '../units.js';
import type { SweepReport, Tell } from './events.js';

/** Deletes something of a job that has expired. Called at least once; the store lets go of it only after it succeeded. */
export type OnExpire = (job: StoredJob, task: ExpiryTask) => unknown;

export interface ExpiryTask {
  /** The same for every try of this deletion and for no other. At most 1,200 bytes. */
  id: string;
  /** How often it was begun, this time included. */
  tries: number;
}

export interface SweepOptions {
  /** Deletes a job's results. */
  onExpire: OnExpire;
  /** Deletes what the host knows of a job, at the end of `metadata`. @default nothing: the store's record alone goes */
  onMetadataExpire?: OnExpire;
  /** How many jobs are claimed at a time. 1 to 1,000. @default 100 */
  batch?: number;
  /** How often it is looked for due jobs. Milliseconds or `'10s'`, at least 10 ms. @default '10s' */
  everyMs?: Duration;
  /** How many callbacks run at once. At least 1. @default 10 */
  concurrency?: number;
  /** A claim ends so long after it was made: longer than a callback takes. At least a second. @default '1m' */
  leaseMs?: Duration;
  /** How often a deletion is tried before it is given up, with an event. At least 1. @default 10 */
  mostTries?: number;
  /** The longest that a turn goes on claiming; the rest is left to the next one. @default '30s' */
  turnMs?: Duration;
  /** Stops the sweeper. */
  signal?: AbortSignal;
}

export interface Sweeper {
  /** Looks for due jobs now, unless a turn is under way already; it is waited for then. */
  turn(): Promise<SweepReport>;
  /** Claims nothing more, waits for the callbacks under way, and stops the timer. */
  stop(): Promise<void>;
}

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 3_600_000;

const checks = {
  onExpire: func<OnExpire>(),
  onMetadataExpire: optional(func<OnExpire>()),
  batch: withDefault(count({ min: 1, max: 1_000 }), 100),
  everyMs: withDefault(duration({ min: 10 }), 10_000),
  concurrency: withDefault(count({ min: 1 }), 10),
  leaseMs: withDefault(duration({ min: 1_000 }), 60_000),
  mostTries: withDefault(count({ min: 1 }), 10),
  turnMs: withDefault(duration({ min: 1 }), 30_000),
  signal: optional(having<AbortSignal>('an AbortSignal', 'addEventListener')),
};

/**
 * Ends jobs that ran too long, announces what is about to expire, and deletes what has, until it is stopped. Any number of
 * processes may do it at once: each job is claimed by one.
 *
 * @throws {ConfigError}
 */
export function startSweeper(store: LimitStore, options: SweepOptions, tell: Tell, clock: Clock): Sweeper {
  const { signal, ...settings } = checkOptions('sweep', options, checks);
  let stopped = signal?.aborted ?? false;
  let underWay: Promise<SweepReport> | undefined;
  const turn = (): Promise<SweepReport> =>
    (underWay ??= new Turn(store, settings, tell, clock, () => stopped).run().finally(() => {
      underWay = undefined;
    }));
  const stopTimer = clock.every(settings.everyMs, () => void turn());
  const stop = async (): Promise<void> => {
    stopped = true;
    stopTimer();
    await underWay;
  };
  signal?.addEventListener('abort', () => void stop(), { once: true });
  if (stopped) stopTimer();
  else void turn();
  return { turn, stop };
}

type Settings = Omit<{ [K in keyof typeof checks]: ReturnType<(typeof checks)[K]> }, 'signal'>;

/** One look at all shards. Never throws: what fails is told. */
class Turn {
  readonly #report: SweepReport = { claimed: 0, done: 0, failed: 0, lagMs: 0, tookMs: 0 };
  readonly #began: number;

  constructor(
    private readonly store: LimitStore,
    private readonly settings: Settings,
    private readonly tell: Tell,
    private readonly clock: Clock,
    private readonly isStopped: () => boolean,
  ) {
    this.#began = clock.now();
  }

  async run(): Promise<SweepReport> {
    const { shards } = this.store;
    // Sweepers that begin at different places get in each other's way less.
    const first = Math.floor(Math.random() * shards);
    try {
      for (let i = 0; i < shards && !this.#isOver(); i += 1) await this.#sweep((first + i) % shards);
    } catch (error) {
      this.tell('store-error', { operation: 'sweep', error });
    }
    this.#report.tookMs = this.clock.now() - this.#began;
    this.tell('swept', this.#report);
    return this.#report;
  }

  #isOver(): boolean {
    return this.isStopped() || this.clock.now() - this.#began >= this.settings.turnMs;
  }

  async #sweep(shard: number): Promise<void> {
    const { batch: limit, leaseMs } = this.settings;
    for (let full = true; full && !this.#isOver();) {
      const claimedAt = this.clock.now();
      const claims = await this.store.claim({ shard, limit, leaseMs });
      this.#note(claims);
      full = claims.length >= limit;
      const done: Claim[] = [];
      const queue = claims.values();
      const work = async (): Promise<void> => {
        for (const claim of queue) {
          // What was claimed long ago is somebody else's soon, and comes up again.
          if (this.isStopped() || this.clock.now() - claimedAt > leaseMs / 2) return;
          if (await this.#perform(claim)) done.push(claim);
        }
      };
      const workers = Array.from({ length: Math.min(this.settings.concurrency, claims.length) }, work);
      const results = await Promise.allSettled(workers);
      if (done.length > 0) await this.store.confirm(done);
      const failed = results.find((result) => result.status === 'rejected');
      if (failed) throw failed.reason as Error;
    }
  }

  #note(claims: Claim[]): void {
    this.#report.claimed += claims.length;
    const date = this.clock.wallNow();
    for (const { due, tries, job } of claims) {
      const dueAt =
        due === 'results' ? job.resultsExpireAt : due === 'metadata' ? job.metadataExpireAt : date;
      if (tries === 1) this.#report.lagMs = Math.max(this.#report.lagMs, date - dueAt!);
    }
  }

  /** Whether the task is done and to be confirmed. */
  async #perform(claim: Claim): Promise<boolean> {
    const { job, due, id, tries } = claim;
    if (due === 'overrun') {
      await this.#end(job);
      return false;
    }
    try {
      if (due === 'expiring') this.tell('expiring', { job });
      else if (due === 'results') await this.settings.onExpire(job, { id, tries });
      else await this.settings.onMetadataExpire?.(job, { id, tries });
    } catch (error) {
      await this.#putOff(claim, error);
      return false;
    }
    this.#report.done += 1;
    if (due !== 'expiring') this.tell('expired', { job, due });
    return true;
  }

  async #end(job: StoredJob): Promise<void> {
    const answer = await this.store.finish(job.ref, { state: 'overrun' });
    this.tell('finish', { ref: job.ref, answer, state: 'overrun' });
    this.#report.done += 1;
    if (answer === 'finished' || answer === 'unsettled') this.tell('overrun', { job });
  }

  async #putOff(claim: Claim, error: unknown): Promise<void> {
    const { job, due, tries } = claim;
    this.#report.failed += 1;
    const backoff = Math.min(LONGEST_RETRY_MS, FIRST_RETRY_MS * 2 ** (tries - 1)) * (1 + Math.random() / 4);
    const retryInMs = tries >= this.settings.mostTries ? null : Math.round(backoff);
    this.tell('expiry-failed', { job, due, error, tries, retryInMs });
    await this.store.postpone(claim, retryInMs);
  }
}
