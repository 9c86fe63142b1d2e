import type { Clock } from '../clock.js';
import { JobLimitsError } from '../errors.js';
import type { Claim, LimitStore, StoredJob } from '../stores/store.js';
import type { SweepReport, Tell } from './events.js';
import type { SweepSettings } from './sweep-options.js';

const FIRST_RETRY_MS = 1_000;
const LONGEST_RETRY_MS = 3_600_000;
/** So much of a lease a callback may take: the store has to hear of what is done before the claims come up elsewhere. */
const CALLBACK_SHARE = 0.9;

/** What a sweeper's turns share. */
export interface SweepState {
  stopped: boolean;
  /** How many jobs are claimed at a time: fewer than `batch` where callbacks are slow. */
  most: number;
}

/** One look at all shards. Never throws: what fails is told. */
export const sweepTurn = (
  store: LimitStore,
  settings: SweepSettings,
  state: SweepState,
  tell: Tell,
  clock: Clock,
): Promise<SweepReport> => new Turn(store, settings, state, tell, clock).run();

class Turn {
  readonly #report: SweepReport = { claimed: 0, done: 0, failed: 0, lagMs: 0, tookMs: 0 };
  readonly #began: number;

  constructor(
    private readonly store: LimitStore,
    private readonly settings: SweepSettings,
    private readonly state: SweepState,
    private readonly tell: Tell,
    private readonly clock: Clock,
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
    return this.state.stopped || this.clock.now() - this.#began >= this.settings.turnMs;
  }

  async #sweep(shard: number): Promise<void> {
    const { leaseMs } = this.settings;
    for (let full = true; full && !this.#isOver();) {
      const limit = this.state.most;
      const time = new ClaimTime(this.clock, leaseMs);
      try {
        const claims = await this.store.claim({ shard, limit, leaseMs });
        full = claims.length >= limit;
        if (claims.length > 0) await this.#performAll(claims, time);
      } finally {
        time.end();
      }
    }
  }

  /** Performs what can be begun in time; the rest comes up again when its claims are over. */
  async #performAll(claims: Claim[], time: ClaimTime): Promise<void> {
    this.#note(claims);
    const queue = claims.values();
    const done: Claim[] = [];
    let begun = 0;
    const work = async (): Promise<void> => {
      while (!this.state.stopped && !time.isHalfOver) {
        const { value: claim } = queue.next();
        if (claim === undefined) return;
        begun += 1;
        if (await this.#perform(claim, time)) done.push(claim);
      }
    };
    const { batch, concurrency } = this.settings;
    const workers = Array.from({ length: Math.min(concurrency, claims.length) }, work);
    const results = await Promise.allSettled(workers);
    // What is claimed and not begun waits in vain, and has used up one of its tries.
    this.state.most = Math.min(batch, Math.max(concurrency, time.manages(begun)));
    if (done.length > 0) await this.store.confirm(done);
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason as Error;
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
  async #perform(claim: Claim, time: ClaimTime): Promise<boolean> {
    const { job, due, id, tries } = claim;
    if (due === 'overrun') {
      await this.#end(job);
      return false;
    }
    if (due === 'expiring') this.tell('expiring', { job });
    else {
      const { onExpire, onMetadataExpire } = this.settings;
      const callback = due === 'results' ? onExpire : onMetadataExpire;
      try {
        await time.within(async () => callback?.(job, { id, tries, signal: time.signal }));
      } catch (error) {
        await this.#putOff(claim, error);
        return false;
      }
      this.tell('expired', { job, due });
    }
    this.#report.done += 1;
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

/** How long a batch of claims is this sweeper's. It begins before the claim, so that it never ends after the store's. */
class ClaimTime {
  readonly #began: number;
  readonly #over = new AbortController();
  readonly #isOver: Promise<never>;
  /** Stops its timer. */
  readonly end: () => void;

  constructor(
    private readonly clock: Clock,
    private readonly leaseMs: number,
  ) {
    this.#began = clock.now();
    const callbackMs = leaseMs * CALLBACK_SHARE;
    let fail: (error: Error) => void;
    this.#isOver = new Promise<never>((_, reject) => (fail = reject));
    this.#isOver.catch(() => undefined);
    this.end = clock.every(callbackMs, () => {
      const error = new JobLimitsError('EXPIRY_TIMEOUT', `The callback took longer than ${callbackMs} ms`);
      this.#over.abort(error);
      fail(error);
    });
  }

  get signal(): AbortSignal {
    return this.#over.signal;
  }

  /** Whether it is too late to begin another task. */
  get isHalfOver(): boolean {
    return this.#elapsed > this.leaseMs / 2;
  }

  /** How many tasks can be begun in time, at the pace of these. */
  manages(begun: number): number {
    return Math.floor((begun * this.leaseMs) / 2 / this.#elapsed);
  }

  /** What the callback gives, unless the time is over before. */
  within<T>(callback: () => Promise<T>): Promise<T> {
    return Promise.race([callback(), this.#isOver]);
  }

  get #elapsed(): number {
    return this.clock.now() - this.#began;
  }
}
