import { RateLimiterMemory, type RateLimiterAbstract } from 'rate-limiter-flexible';
import { systemClock, type Clock } from '../../clock.js';
import { StoreError } from '../../errors.js';
import { boolean, checkOptions, count, having, withDefault } from '../../options.js';
import { counterOf } from '../store.js';
import type {
  AdmitRequest,
  Claim,
  Decision,
  JobRef,
  Limit,
  LimiterOptions,
  LimitStore,
  Outcome,
  Override,
  StoredJob,
  StoreEvent,
  Terms,
  Usage,
} from '../store.js';
import { renewRunning, type Customer } from './customer.js';
import { Customers } from './customers.js';
import { warnInCluster } from './cluster-warning.js';
import { chargeStates, decide, namesOf, stateOf } from './decide.js';
import * as holds from './holds.js';
import { endedElsewhere, JobRecord, without } from './job-record.js';
import { describeJob, soonest } from './stored-jobs.js';

export interface MemoryStoreOptions {
  /** Most jobs kept at once: running, pending and remembered ones of all customers. At least 1. @default 100_000 */
  maxJobs?: number;
  /** Most customers kept at once; one costs nothing once it is idle. At least 1. @default 100_000 */
  maxCustomers?: number;
  /** Where time comes from. @default the machine's clock */
  clock?: Clock;
  /** @internal Its limits are one process's share, so that several processes with one each are right. */
  divided?: boolean;
}

/**
 * Limits counted in the memory of one process: the default, for an API that is one process, and for tests. Several
 * processes each with a MemoryStore would each allow the full limit: use `RedisStore` there.
 *
 * Bounded: when `maxJobs` are kept, remembered jobs of the customer that has the most of them are forgotten first
 * (event `records-dropped`); when all are running, or `maxCustomers` are busy, operations throw `STORE_FULL`.
 *
 * @throws {ConfigError} `CONFIG_INVALID_OPTION`, `CONFIG_UNKNOWN_OPTION`
 */
export class MemoryStore implements LimitStore {
  readonly shards = 1;
  readonly #clock: Clock;
  readonly #customers: Customers;
  readonly #listeners = new Set<(event: StoreEvent) => void>();
  #closed = false;

  constructor(options: MemoryStoreOptions = {}) {
    const { clock, divided, ...bounds } = checkOptions<Required<MemoryStoreOptions>>('MemoryStore', options, {
      maxJobs: withDefault(count({ min: 1 }), 100_000),
      maxCustomers: withDefault(count({ min: 1 }), 100_000),
      clock: withDefault(having<Clock>('a clock', 'now', 'wallNow', 'every'), systemClock),
      divided: withDefault(boolean, false),
    });
    this.#clock = clock;
    this.#customers = new Customers(bounds, clock, (event) => {
      for (const listener of this.#listeners) listener(event);
    });
    if (!divided) warnInCluster();
  }

  async admit(request: AdmitRequest): Promise<Decision> {
    const now = this.#now();
    const { ref } = request;
    const customer = this.#customers.get(ref.customer, now, true);
    const decision = this.#decide(customer, customer.find(ref.id, now), request, now);
    const { override } = customer;
    if (override !== undefined) decision.override = override;
    return decision;
  }

  #decide(customer: Customer, known: JobRecord | undefined, request: AdmitRequest, now: number): Decision {
    if (known === undefined || known.state === 'refunded' || known.state === 'lapsed') {
      return this.#admitNew(customer, request, now);
    }
    if (known.run === request.run) return this.#admitAgain(customer, known, request, now);
    const job = this.#describe(customer, known, now);
    return { allowed: true, replayed: true, limits: [], shadowed: [], job };
  }

  #admitNew(customer: Customer, request: AdmitRequest, now: number): Decision {
    const { ref, run, amounts } = request;
    const terms = customer.effective(request.terms);
    const verdict = decide(request, customer, terms.limits, now);
    if (verdict.refused) return verdict.refused;
    this.#customers.makeRoomForJob();
    customer.forget(ref.id);
    const job = new JobRecord(ref.id, run, without(terms, verdict.uncharged), amounts);
    customer.charge(job, this.#chargeTime());
    customer.lease(job, now + terms.pendingMs);
    const limits = chargeStates(customer, terms.limits, verdict, amounts);
    return { allowed: true, replayed: false, limits, shadowed: verdict.shadowed };
  }

  /** A second try of an admission whose answer was lost, or another middleware's limits for the same job. */
  #admitAgain(customer: Customer, job: JobRecord, request: AdmitRequest, now: number): Decision {
    const terms = customer.effective(request.terms);
    const own = job.counters();
    const open = job.state === 'pending' ? terms.limits : [];
    const { shadowed, uncharged, refused } = decide(request, customer, open, now, own);
    if (refused) return refused;
    const missing = open.filter((limit) => !own.has(counterOf(limit)));
    if (missing.length > 0) {
      customer.addCharge(job, {
        terms: without({ ...terms, limits: missing }, uncharged),
        at: this.#chargeTime(),
        date: this.#clock.wallNow(),
        amounts: request.amounts,
      });
    }
    const limits = terms.limits.map((limit) => stateOf(customer, limit, now));
    return { allowed: true, replayed: false, limits, shadowed };
  }

  async commit(ref: JobRef, run?: string): ReturnType<LimitStore['commit']> {
    return this.#withJob(ref, 'unknown', (customer, job, now) => {
      if (run !== undefined && job.run !== run) return 'superseded';
      switch (job.state) {
        case 'pending':
          customer.start(job, now);
          return 'committed';
        case 'lapsed':
          customer.charge(job, this.#chargeTime());
          customer.start(job, now);
          return 'reinstated';
        case 'running':
          return 'already';
        case 'refunded':
          return 'refunded';
        default:
          return 'finished';
      }
    });
  }

  async refund(ref: JobRef, run: string): ReturnType<LimitStore['refund']> {
    return this.#withJob(ref, 'nothing', (customer, job, now) => {
      if (job.run !== run || (job.state !== 'pending' && job.state !== 'running')) return 'nothing';
      customer.undo(job, 'refunded', now);
      return 'refunded';
    });
  }

  async renew(ref: JobRef): ReturnType<LimitStore['renew']> {
    return this.#withJob(ref, 'unknown', (customer, job, now) => {
      switch (job.state) {
        case 'pending':
          customer.lease(job, now + job.terms.pendingMs);
          return 'renewed';
        case 'lapsed':
          customer.charge(job, this.#chargeTime());
          job.state = 'pending';
          customer.lease(job, now + job.terms.pendingMs);
          return 'reinstated';
        case 'running':
          return renewRunning(customer, job, now);
        case 'refunded':
          return 'refunded';
        default:
          return 'finished';
      }
    });
  }

  async finish(ref: JobRef, outcome: Outcome): ReturnType<LimitStore['finish']> {
    const answer = this.#withJob(ref, 'unknown', (customer, job, now) => {
      if (job.state === 'refunded') return 'refunded';
      if (job.state === 'lapsed') customer.charge(job, this.#chargeTime());
      else if (job.state !== 'pending' && job.state !== 'running') return 'already';
      return customer.end(job, outcome, now) ? 'finished' : 'unsettled';
    });
    if (answer !== 'unknown' || outcome.retention === undefined) return answer;
    const now = this.#now();
    this.#customers.makeRoomForJob();
    const job = endedElsewhere(ref.id, now);
    this.#customers.get(ref.customer, now, true).end(job, outcome, now);
    return 'finished';
  }

  async usage(customerId: string, limits: readonly Limit[], kept = 0): Promise<Usage> {
    const now = this.#now();
    const customer = this.#customers.get(customerId, now, false);
    const describe = (job: JobRecord): StoredJob => this.#describe(customer, job, now);
    const { override } = customer;
    return {
      limits: customer
        .effective({ limits, pendingMs: 0, rememberMs: 0 })
        .limits.map((limit) => stateOf(customer, limit, now)),
      running: [...customer.leased.values()].map(describe),
      kept: soonest(customer.kept.values(), kept, this.#clock.wallNow()).map(describe),
      ...(override && { override }),
    };
  }

  async job(ref: JobRef): Promise<StoredJob | undefined> {
    return this.#withJob(ref, undefined, (customer, job, now) => this.#describe(customer, job, now));
  }

  async reconcile(
    customerId: string,
    runningIds: readonly string[],
    terms: Terms,
    graceMs: number,
  ): ReturnType<LimitStore['reconcile']> {
    const now = this.#now();
    const customer = this.#customers.get(customerId, now, true);
    const listed = new Set(runningIds);
    const finished: string[] = [];
    for (const job of [...customer.leased.values()]) {
      if (job.state !== 'running' || listed.has(job.id) || now - job.startedAt < graceMs) continue;
      customer.end(job, { state: 'completed' }, now);
      finished.push(job.id);
    }
    const restored = [...listed].filter((id) => this.#restore(customer, id, terms, now));
    return { finished, restored };
  }

  /** Gives a job that the host says is running its lease back, where it has none. */
  #restore(customer: Customer, id: string, terms: Terms, now: number): boolean {
    if (customer.leased.has(id)) return false;
    let job = customer.find(id, now);
    if (job === undefined) {
      this.#customers.makeRoomForJob();
      // Its rates and quotas were charged when it was created, by a store that has forgotten it.
      const charged = namesOf(terms.limits, 'creation-rate', 'quota');
      job = new JobRecord(id, id, without(customer.effective(terms), charged));
      job.stamp(now, () => this.#clock.wallNow());
    } else if (job.state === 'lapsed') {
      customer.charge(job, this.#chargeTime());
    } else if (job.state !== 'running') {
      return false;
    }
    customer.start(job, now);
    return customer.leased.has(id);
  }

  async claim({ limit, leaseMs }: Parameters<LimitStore['claim']>[0]): Promise<Claim[]> {
    const now = this.#now();
    // Leases of customers that nobody asks for would else be freed by a timer, a little later.
    this.#customers.housekeep();
    const times = { now, date: this.#clock.wallNow() };
    return this.#customers.due.claim(limit, leaseMs, times, (customer, job) =>
      this.#describe(customer, job, now),
    );
  }

  async confirm(claims: readonly Claim[]): Promise<number> {
    const now = this.#now();
    const { due } = this.#customers;
    return claims.filter((claim) =>
      due.confirm(this.#customers.get(claim.job.ref.customer, now, false), claim),
    ).length;
  }

  async postpone(claim: Claim, afterMs: number | null): Promise<void> {
    const now = this.#now();
    const customer = this.#customers.get(claim.job.ref.customer, now, false);
    const times = { now, date: this.#clock.wallNow() };
    this.#customers.due.postpone(customer, claim, afterMs ?? Infinity, times);
  }

  async pin(ref: JobRef, reason: string): ReturnType<LimitStore['pin']> {
    return this.#withJob(ref, 'unknown', (_, job) => holds.pin(job, reason, this.#clock.wallNow()));
  }

  async unpin(ref: JobRef): ReturnType<LimitStore['unpin']> {
    return this.#withJob(ref, 'unknown', holds.unpin);
  }

  async extend(ref: JobRef, to: number): ReturnType<LimitStore['extend']> {
    return this.#withJob(ref, 'unknown', (customer, job) =>
      holds.extend(customer, job, to, this.#clock.wallNow()),
    );
  }

  async expireNow(ref: JobRef, force = false): ReturnType<LimitStore['expireNow']> {
    return this.#withJob(ref, 'unknown', (customer, job) =>
      holds.expireNow(customer, job, force, this.#clock.wallNow()),
    );
  }

  async setOverride(customerId: string, override: Override | null): Promise<void> {
    const customer = this.#customers.get(customerId, this.#now(), true);
    customer.override = override === null ? undefined : { ...override, setAt: this.#clock.wallNow() };
  }

  async override(customerId: string): Promise<Override | null> {
    return this.#customers.get(customerId, this.#now(), false).override ?? null;
  }

  async overrides(): ReturnType<LimitStore['overrides']> {
    this.#now();
    return [...this.#customers.all()].flatMap(({ id, override }) =>
      override === undefined ? [] : [{ customer: id, override }],
    );
  }

  limiter(options: LimiterOptions): RateLimiterAbstract {
    return new RateLimiterMemory(options);
  }

  subscribe(listener: (event: StoreEvent) => void): () => void {
    this.#listeners.add(listener);
    return () => this.#listeners.delete(listener);
  }

  async clear(): Promise<void> {
    this.#customers.clear();
  }

  async close(): Promise<void> {
    this.#customers.clear();
    this.#closed = true;
  }

  #withJob<T, U>(
    ref: JobRef,
    unknown: U,
    operate: (customer: Customer, job: JobRecord, now: number) => T,
  ): T | U {
    const now = this.#now();
    const customer = this.#customers.get(ref.customer, now, false);
    const job = customer.find(ref.id, now);
    return job === undefined ? unknown : operate(customer, job, now);
  }

  /** Whole milliseconds, rounded down; charges are rounded up, so that rounding never lets one through early. */
  #now(): number {
    if (this.#closed) throw new StoreError('STORE_CLOSED', 'The store is closed');
    return Math.floor(this.#clock.now());
  }

  #chargeTime(): number {
    return Math.ceil(this.#clock.now());
  }

  #describe(customer: Customer, job: JobRecord, now: number): StoredJob {
    return describeJob(customer, job, { now, date: this.#clock.wallNow() });
  }
}
