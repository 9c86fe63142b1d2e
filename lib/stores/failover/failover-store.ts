import { RateLimiterMemory, type RateLimiterAbstract } from 'rate-limiter-flexible';
import { systemClock, type Clock } from '../../clock.js';
import { ConfigError, StoreError } from '../../errors.js';
import { checkOptions, count, duration, having, oneOf, optional, withDefault } from '../../options.js';
import type { Duration } from '../../units.js';
import { MemoryStore } from '../memory/memory-store.js';
import {
  storeMethods,
  type AdmitRequest,
  type Claim,
  type Decision,
  type JobRef,
  type Limit,
  type LimiterOptions,
  type LimitStore,
  type Outcome,
  type Override,
  type StoredJob,
  type StoreEvent,
  type Terms,
  type Usage,
} from '../store.js';
import { Journal } from './journal.js';
import { isOutage } from './outage.js';
import { Partitions } from './partitions.js';
import { Shares } from './shares.js';

export interface FailoverOptions {
  /** The store that the processes share. */
  store: LimitStore;
  /**
   * What decides while the store can't be reached. `'local'`: each process by itself, with its share of the limits.
   * `'allow'`: everything is admitted, and counted once the store is back. `'deny'`: nothing; requests are answered 503.
   * @default 'local' where `processes` is given, else 'deny'
   */
  onStoreError?: 'local' | 'allow' | 'deny';
  /**
   * How many processes share the store: in `'local'`, each allows `max(1, floor(limit / processes))` by itself. Needed for
   * it. At least 1.
   */
  processes?: number;
  /** The longest that a call waits for the store. At least 1 ms. @default '1s' */
  timeout?: Duration;
  /** How many jobs are kept in mind for the store's return. @default 10_000 */
  journal?: number;
  /** Where the time of the local limits and the timers come from. @default the machine's clock */
  clock?: Clock;
}

/** How long after a failure to write the journal it is tried again. */
const RETRY_MS = 1_000;
/** The rates of a limiter that stands in for one that allows everything. */
const NO_LIMIT = 1e9;

/**
 * A store that goes on when the one it wraps can't be reached. An outage costs a request at most one timeout, and then
 * none: calls fail at once while the store is tried in the background. Once it is back, jobs that were admitted meanwhile
 * are counted in it, beyond the limits if need be, and what became of others is told to it.
 *
 * Limits are exact as long as the store answers. Around an outage, at most one more `limit` is admitted: each process
 * starts from nothing, and together their shares are the limit. A process that ends during the outage takes with it what it
 * would have told the store.
 *
 * @throws {ConfigError} `CONFIG_MISSING_OPTION`, `CONFIG_INVALID_OPTION`, `CONFIG_UNKNOWN_OPTION`
 */
export class FailoverStore implements LimitStore {
  readonly #store: LimitStore;
  readonly #mode: 'local' | 'allow' | 'deny';
  readonly #shares: Shares;
  readonly #local: MemoryStore;
  readonly #journal: Journal;
  readonly #partitions: Partitions;
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  readonly #unsubscribe: (() => void)[];
  readonly #clock: Clock;
  /** Jobs that the store has adopted, and that still hold a local slot. */
  #adopted: JobRef[] = [];
  #writingLate = false;
  #lateNotes = false;
  #stopRetry: (() => void) | undefined;
  #closed = false;

  constructor(options: FailoverOptions) {
    const checked = checkOptions('FailoverStore', options, {
      store: having<LimitStore>('a store', ...storeMethods),
      onStoreError: optional(oneOf('local', 'allow', 'deny')),
      processes: optional(count({ min: 1 })),
      timeout: withDefault(duration({ min: 1 }), 1_000),
      journal: withDefault(count(), 10_000),
      clock: withDefault(having<Clock>('a clock', 'now', 'wallNow', 'every'), systemClock),
    });
    const { store, processes, timeout, clock } = checked;
    this.#mode = checked.onStoreError ?? (processes === undefined ? 'deny' : 'local');
    if (this.#mode === 'local' && processes === undefined) {
      throw new ConfigError(
        'CONFIG_MISSING_OPTION',
        'FailoverStore.processes',
        "the number of processes that share the store, which onStoreError: 'local' divides the limits by",
        undefined,
      );
    }
    this.#store = store;
    this.#clock = clock;
    this.#shares = new Shares(processes ?? 1);
    this.#local = new MemoryStore({ clock, divided: true });
    this.#journal = new Journal(checked.journal);
    this.#partitions = new Partitions(store, {
      timeoutMs: timeout,
      clock,
      failed: (operation, error) => this.#emit({ type: 'store-error', operation, error }),
      answered: (operation, durationMs) => this.#emit({ type: 'store-answered', operation, durationMs }),
      out: (partition) => this.#emit({ type: 'store-switched', to: this.#mode, partition }),
      returns: (partition) =>
        this.#writeJournal((customer) => this.#partitions.nameOf(customer) === partition),
      returned: (partition) => {
        this.#emit({ type: 'store-switched', to: 'store', partition });
        // Notes that came between the last look at the journal and now.
        void this.#writeLate();
      },
    });
    this.#unsubscribe = [store, this.#local].map((from) => from.subscribe(this.#emit));
  }

  admit(request: AdmitRequest): Promise<Decision> {
    return this.#either(
      'admit',
      request.ref.customer,
      () => this.#store.admit(request),
      async () => {
        const decision: Decision =
          this.#mode === 'allow'
            ? { allowed: true, replayed: false, limits: [], shadowed: [] }
            : await this.#local.admit({ ...request, terms: this.#shares.ofTerms(request.terms) });
        if (decision.allowed && !decision.replayed) this.#journal.admitted(request);
        return decision;
      },
    );
  }

  commit(ref: JobRef, run?: string): ReturnType<LimitStore['commit']> {
    return this.#either(
      'commit',
      ref.customer,
      () => this.#store.commit(ref, run),
      async () => {
        const answer = this.#isLocal(ref) ? await this.#local.commit(ref, run) : 'committed';
        if (answer === 'committed' || answer === 'reinstated') this.#journal.committed(ref, run);
        return answer;
      },
    );
  }

  refund(ref: JobRef, run: string): ReturnType<LimitStore['refund']> {
    return this.#either(
      'refund',
      ref.customer,
      () => this.#store.refund(ref, run),
      async () => {
        const answer = this.#isLocal(ref) ? await this.#local.refund(ref, run) : 'refunded';
        if (answer === 'refunded') this.#journal.refunded(ref, run);
        return answer;
      },
    );
  }

  renew(ref: JobRef): ReturnType<LimitStore['renew']> {
    return this.#either(
      'renew',
      ref.customer,
      () => this.#store.renew(ref),
      async () => (this.#isLocal(ref) ? this.#local.renew(ref) : 'renewed'),
    );
  }

  finish(ref: JobRef, outcome: Outcome): ReturnType<LimitStore['finish']> {
    return this.#either(
      'finish',
      ref.customer,
      () => this.#store.finish(ref, outcome),
      async () => {
        const answer = this.#isLocal(ref)
          ? await this.#local.finish(ref, { state: outcome.state })
          : 'finished';
        if (answer === 'finished' || answer === 'unsettled') this.#journal.finished(ref, outcome);
        return answer;
      },
    );
  }

  /** While the store is out, where the customer stands at this process's share. Only `'local'` knows. */
  usage(customer: string, limits: readonly Limit[], kept?: number): Promise<Usage> {
    return this.#either(
      'usage',
      customer,
      () => this.#store.usage(customer, limits, kept),
      this.#mode === 'local'
        ? () => this.#local.usage(customer, this.#shares.ofLimits(limits), kept)
        : undefined,
    );
  }

  job(ref: JobRef): Promise<StoredJob | undefined> {
    const instead = this.#isLocal(ref) ? () => this.#local.job(ref) : undefined;
    return this.#either('job', ref.customer, () => this.#store.job(ref), instead);
  }

  reconcile(
    customer: string,
    runningIds: readonly string[],
    terms: Terms,
    graceMs: number,
  ): ReturnType<LimitStore['reconcile']> {
    return this.#either('reconcile', customer, () =>
      this.#store.reconcile(customer, runningIds, terms, graceMs),
    );
  }

  get shards(): number {
    return this.#store.shards;
  }

  // Sweeping can wait for the store; so can whoever wants something kept.

  claim(request: Parameters<LimitStore['claim']>[0]): Promise<Claim[]> {
    return this.#open.claim(request);
  }

  confirm(claims: readonly Claim[]): Promise<number> {
    return this.#open.confirm(claims);
  }

  postpone(claim: Claim, afterMs: number | null): Promise<void> {
    return this.#either('postpone', claim.job.ref.customer, () => this.#store.postpone(claim, afterMs));
  }

  pin(ref: JobRef, reason: string): ReturnType<LimitStore['pin']> {
    return this.#either('pin', ref.customer, () => this.#store.pin(ref, reason));
  }

  unpin(ref: JobRef): ReturnType<LimitStore['unpin']> {
    return this.#either('unpin', ref.customer, () => this.#store.unpin(ref));
  }

  extend(ref: JobRef, to: number): ReturnType<LimitStore['extend']> {
    return this.#either('extend', ref.customer, () => this.#store.extend(ref, to));
  }

  expireNow(ref: JobRef, force?: boolean): ReturnType<LimitStore['expireNow']> {
    return this.#either('expireNow', ref.customer, () => this.#store.expireNow(ref, force));
  }

  setOverride(customer: string, override: Override | null): Promise<void> {
    return this.#either('setOverride', customer, () => this.#store.setOverride(customer, override));
  }

  override(customer: string): Promise<Override | null> {
    return this.#either('override', customer, () => this.#store.override(customer));
  }

  overrides(): ReturnType<LimitStore['overrides']> {
    return this.#open.overrides();
  }

  /** The store's limiter; while it can't ask, it goes on by what `onStoreError` says. */
  limiter(options: LimiterOptions): RateLimiterAbstract {
    const limiter = this.#store.limiter(options);
    if (!('insuranceLimiter' in limiter)) return limiter;
    const points = this.#mode === 'allow' ? NO_LIMIT : this.#shares.of(options.points);
    limiter.insuranceLimiter =
      this.#mode === 'deny' ? undefined : new RateLimiterMemory({ ...options, points });
    return limiter;
  }

  subscribe(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async clear(): Promise<void> {
    await this.#open.clear();
    this.#journal.clear();
    await this.#local.clear();
  }

  /** The wrapped store stays open: whoever made it closes it. */
  async close(): Promise<void> {
    if (this.#closed) return;
    this.#closed = true;
    this.#partitions.close();
    this.#stopRetry?.();
    for (const unsubscribe of this.#unsubscribe) unsubscribe();
    await this.#local.close();
  }

  /** Asks the store; while it is out, what decides instead. Where nothing does, the store's error is thrown. */
  async #either<T>(
    operation: string,
    customer: string,
    ask: () => Promise<T>,
    instead?: () => Promise<T>,
  ): Promise<T> {
    void this.#open;
    const breaker = this.#partitions.of(customer);
    try {
      return await breaker.call(operation, ask);
    } catch (error) {
      if (!isOutage(error) || instead === undefined || this.#mode === 'deny' || this.#closed) throw error;
    }
    const answer = await instead();
    // The store came back, or was never out for others, while this was decided: nobody else would tell it.
    if (!breaker.isOut) void this.#writeLate();
    return answer;
  }

  #isLocal(ref: JobRef): boolean {
    return this.#mode === 'local' && this.#journal.holds(ref);
  }

  /** Writes what concerns customers whose store is not out. Again a second later when it fails. */
  async #writeLate(): Promise<void> {
    this.#lateNotes = true;
    if (this.#writingLate) return;
    this.#writingLate = true;
    try {
      while (this.#lateNotes && !this.#closed) {
        this.#lateNotes = false;
        await this.#freeLocalSlots();
        await this.#writeJournal((customer) => !this.#partitions.of(customer).isOut);
        await this.#freeLocalSlots();
      }
      this.#stopRetry?.();
      this.#stopRetry = undefined;
    } catch (error) {
      this.#emit({ type: 'store-error', operation: 'journal', error });
      if (!this.#closed) this.#stopRetry ??= this.#clock.every(RETRY_MS, () => void this.#writeLate());
    } finally {
      this.#writingLate = false;
    }
  }

  async #writeJournal(wanted: (customer: string) => boolean): Promise<void> {
    if (this.#journal.size + this.#journal.dropped === 0) return;
    let told = 0;
    let adopted = 0;
    await this.#journal.write(this.#store, wanted, (ref, admittedHere) => {
      told += 1;
      if (!admittedHere) return;
      adopted += 1;
      if (this.#mode === 'local') this.#adopted.push(ref);
    });
    const { dropped } = this.#journal;
    this.#journal.dropped = 0;
    if (told + dropped > 0) this.#emit({ type: 'journal-written', adopted, dropped });
  }

  /**
   * Jobs that the store has adopted hold their local slots until calls reach the store again, so that these are not given
   * away meanwhile. What they used of the local rates stays used, should the store go out again.
   */
  async #freeLocalSlots(): Promise<void> {
    for (const ref of this.#adopted.splice(0)) {
      if (!this.#closed) await this.#local.finish(ref, { state: 'completed' });
    }
  }

  readonly #emit = (event: StoreEvent): void => {
    for (const listener of this.#listeners) listener(event);
  };

  get #open(): LimitStore {
    if (this.#closed) throw new StoreError('STORE_CLOSED', 'The store is closed');
    return this.#store;
  }
}
