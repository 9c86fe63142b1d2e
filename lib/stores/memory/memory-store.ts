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
import type { Times } from './times.js';

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
    const times = this.#times();
    const { ref } = request;
    const customer = this.#customers.get(ref.customer, times.now, true);
    const decision = this.#decide(customer, customer.find(ref.id, times.now), request, times);
    const { override } = customer;
    if (override !== undefined) decision.override = override;
    return decision;
  }

  #decide(customer: Customer, known: JobRecord | undefined, request: AdmitRequest, times: Times): Decision {
    if (known === undefined || known.state === 'refunded' || known.state === 'lapsed') {
      return this.#admitNew(customer, request, times);
    }
    if (known.run === request.run) return this.#admitAgain(customer, known, request, times);
    const job = describeJob(customer, known, times);
    return { allowed: true, replayed: true, limits: [], shadowed: [], job, run: known.run };
  }

  #admitNew(customer: Customer, request: AdmitRequest, times: Times): Decision {
    const { ref, run, amounts } = request;
    const terms = customer.effective(request.terms);
    const verdict = decide(request, customer, terms.limits, times);
    if (verdict.refused) return verdict.refused;
    this.#customers.makeRoomForJob();
    customer.forget(ref.id);
    const job = new JobRecord(ref.id, run, without(terms, verdict.uncharged), amounts);
    customer.charge(job, this.#chargeTime(), times.date);
    customer.lease(job, times.now + terms.pendingMs);
    const limits = chargeStates(terms.limits, verdict, amounts, times.date);
    return { allowed: true, replayed: false, limits, shadowed: verdict.shadowed };
  }

  /** A second try of an admission whose answer was lost, or another middleware's limits for the same job. */
  #admitAgain(customer: Customer, job: JobRecord, request: AdmitRequest, times: Times): Decision {
    const terms = customer.effective(request.terms);
    const own = job.counters();
    const open = job.state === 'pending' ? terms.limits : [];
    const { shadowed, uncharged, refused } = decide(request, customer, open, times, own);
    if (refused) return refused;
    const missing = open.filter((limit) => !own.has(counterOf(limit)));
    if (missing.length > 0) {
      customer.addCharge(job, {
        terms: without({ ...terms, limits: missing }, uncharged),
        at: this.#chargeTime(),
        date: times.date,
        amounts: request.amounts,
      });
    }
    const limits = terms.limits.map((limit) => stateOf(customer, limit, times));
    return { allowed: true, replayed: false, limits, shadowed };
  }

  async commit(ref: JobRef, run?: string): ReturnType<LimitStore['commit']> {
    return this.#withJob(ref, 'unknown', (customer, job, times) => {
      if (run !== undefined && job.run !== run) return 'superseded';
      switch (job.state) {
        case 'pending':
          customer.start(job, times.now);
          return 'committed';
        case 'lapsed':
          customer.charge(job, this.#chargeTime(), times.date);
          customer.start(job, times.now);
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
    return this.#withJob(ref, 'nothing', (customer, job, times) => {
      if (job.run !== run || (job.state !== 'pending' && job.state !== 'running')) return 'nothing';
      customer.undo(job, 'refunded', times.now);
      return 'refunded';
    });
  }

  async renew(ref: JobRef): ReturnType<LimitStore['renew']> {
    return this.#withJob(ref, 'unknown', (customer, job, times) => {
      switch (job.state) {
        case 'pending':
          customer.lease(job, times.now + job.terms.pendingMs);
          return 'renewed';
        case 'lapsed':
          customer.charge(job, this.#chargeTime(), times.date);
          job.state = 'pending';
          customer.lease(job, times.now + job.terms.pendingMs);
          return 'reinstated';
        case 'running':
          return renewRunning(customer, job, times.now);
        case 'refunded':
          return 'refunded';
        default:
          return 'finished';
      }
    });
  }

  async finish(ref: JobRef, outcome: Outcome): ReturnType<LimitStore['finish']> {
    const answer = this.#withJob(ref, 'unknown', (customer, job, times) => {
      if (job.state === 'refunded') return 'refunded';
      if (job.state === 'lapsed') customer.charge(job, this.#chargeTime(), times.date);
      else if (job.state !== 'pending' && job.state !== 'running') return 'already';
      return customer.end(job, outcome, times) ? 'finished' : 'unsettled';
    });
    if (answer !== 'unknown' || outcome.retention === undefined) return answer;
    const times = this.#times();
    this.#customers.makeRoomForJob();
    const job = endedElsewhere(ref.id, times.now);
    this.#customers.get(ref.customer, times.now, true).end(job, outcome, times);
    return 'finished';
  }

  async usage(customerId: string, limits: readonly Limit[], kept = 0): Promise<Usage> {
    const times = this.#times();
    const customer = this.#customers.get(customerId, times.now, false);
    const describe = (job: JobRecord): StoredJob => describeJob(customer, job, times);
    const { override } = customer;
    return {
      limits: customer
        .effective({ limits, pendingMs: 0, rememberMs: 0 })
        .limits.map((limit) => stateOf(customer, limit, times)),
      running: [...customer.leased.values()].map(describe),
      kept: soonest(customer.kept.values(), kept, times.date).map(describe),
      ...(override && { override }),
    };
  }

  async job(ref: JobRef): Promise<StoredJob | undefined> {
    return this.#withJob(ref, undefined, (customer, job, times) => describeJob(customer, job, times));
  }

  async reconcile(
    customerId: string,
    runningIds: readonly string[],
    terms: Terms,
    graceMs: number,
  ): ReturnType<LimitStore['reconcile']> {
    const times = this.#times();
    const customer = this.#customers.get(customerId, times.now, true);
    const listed = new Set(runningIds);
    const finished: string[] = [];
    for (const job of [...customer.leased.values()]) {
      if (job.state !== 'running' || listed.has(job.id) || times.now - job.startedAt < graceMs) continue;
      customer.end(job, { state: 'completed' }, times);
      finished.push(job.id);
    }
    const restored = [...listed].filter((id) => this.#restore(customer, id, terms, times));
    return { finished, restored };
  }

  /** Gives a job that the host says is running its lease back, where it has none. */
  #restore(customer: Customer, id: string, terms: Terms, times: Times): boolean {
    if (customer.leased.has(id)) return false;
    let job = customer.find(id, times.now);
    if (job === undefined) {
      this.#customers.makeRoomForJob();
      // Its rates and quotas were charged when it was created, by a store that has forgotten it.
      const charged = namesOf(terms.limits, 'creation-rate', 'quota');
      job = new JobRecord(id, id, without(customer.effective(terms), charged));
      job.stamp(times.now, times.date);
    } else if (job.state === 'lapsed') {
      customer.charge(job, this.#chargeTime(), times.date);
    } else if (job.state !== 'running') {
      return false;
    }
    customer.start(job, times.now);
    return customer.leased.has(id);
  }

  async claim({ limit, leaseMs }: Parameters<LimitStore['claim']>[0]): Promise<Claim[]> {
    const times = this.#times();
    // Leases of customers that nobody asks for would else be freed by a timer, a little later.
    this.#customers.housekeep();
    return this.#customers.due.claim(limit, leaseMs, times, (customer, job) =>
      describeJob(customer, job, times),
    );
  }

  async confirm(claims: readonly Claim[]): Promise<number> {
    const times = this.#times();
    const { due } = this.#customers;
    return claims.filter((claim) =>
      due.confirm(this.#customers.get(claim.job.ref.customer, times.now, false), claim),
    ).length;
  }

  async postpone(claim: Claim, afterMs: number | null): Promise<void> {
    const times = this.#times();
    const customer = this.#customers.get(claim.job.ref.customer, times.now, false);
    this.#customers.due.postpone(customer, claim, afterMs ?? Infinity, times);
  }

  async pin(ref: JobRef, reason: string): ReturnType<LimitStore['pin']> {
    return this.#withJob(ref, 'unknown', (customer, job, { date }) => holds.pin(customer, job, reason, date));
  }

  async unpin(ref: JobRef): ReturnType<LimitStore['unpin']> {
    return this.#withJob(ref, 'unknown', holds.unpin);
  }

  async extend(ref: JobRef, to: number): ReturnType<LimitStore['extend']> {
    return this.#withJob(ref, 'unknown', (customer, job, { date }) => holds.extend(customer, job, to, date));
  }

  async expireNow(ref: JobRef, force = false): ReturnType<LimitStore['expireNow']> {
    return this.#withJob(ref, 'unknown', (customer, job, { date }) =>
      holds.expireNow(customer, job, force, date),
    );
  }

  async setOverride(customerId: string, override: Override | null): Promise<void> {
    const times = this.#times();
    const customer = this.#customers.get(customerId, times.now, true);
    customer.override = override === null ? undefined : { ...override, setAt: times.date };
  }

  async override(customerId: string): Promise<Override | null> {
    return this.#customers.get(customerId, this.#times().now, false).override ?? null;
  }

  async overrides(): ReturnType<LimitStore['overrides']> {
    this.#times();
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
    operate: (customer: Customer, job: JobRecord, times: Times) => T,
  ): T | U {
    const times = this.#times();
    const customer = this.#customers.get(ref.customer, times.now, false);
    const job = customer.find(ref.id, times.now);
    return job === undefined ? unknown : operate(customer, job, times);
  }

  /** Whole milliseconds, rounded down; charges are rounded up, so that rounding never lets one through early. */
  #times(): Times {
    if (this.#closed) throw new StoreError('STORE_CLOSED', 'The store is closed');
    return { now: Math.floor(this.#clock.now()), date: this.#clock.wallNow() };
  }

  #chargeTime(): number {
    return Math.ceil(this.#clock.now());
  }
}
