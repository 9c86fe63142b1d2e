import cluster from 'node:cluster';
import { RateLimiterMemory, type RateLimiterAbstract } from 'rate-limiter-flexible';
import { systemClock, type Clock } from '../../clock.js';
import { StoreError } from '../../errors.js';
import { boolean, checkOptions, count, having, withDefault } from '../../options.js';
import { counterOf } from '../store.js';
import type {
  AdmitRequest,
  Decision,
  JobRef,
  Limit,
  LimiterOptions,
  LimitStore,
  Outcome,
  StoredJob,
  StoreEvent,
  Terms,
  Usage,
} from '../store.js';
import type { Customer } from './customer.js';
import { Customers } from './customers.js';
import { adoptLimits, chargeStates, checkLimits, ratesOf, stateOf } from './decide.js';
import { JobRecord, NEVER, without } from './job-record.js';

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

let warned = false;

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

  async admit({ ref, run, terms, adopt = false }: AdmitRequest): Promise<Decision> {
    const now = this.#now();
    const customer = this.#customers.get(ref.customer, now, true);
    const known = customer.find(ref.id, now);
    if (known === undefined || known.state === 'refunded' || known.state === 'lapsed') {
      return this.#admitNew(customer, ref.id, run, customer.effective(terms), now, adopt);
    }
    if (known.run === run) return this.#admitAgain(customer, known, customer.effective(terms), now, adopt);
    return {
      allowed: true,
      replayed: true,
      limits: [],
      shadowed: [],
      job: this.#describe(customer, known, now),
      run: known.run,
    };
  }

  #admitNew(
    customer: Customer,
    id: string,
    run: string,
    terms: Terms,
    now: number,
    adopt: boolean,
  ): Decision {
    const check = adopt ? adoptLimits : checkLimits;
    const { states, shadowed, uncharged, refused } = check(customer, terms.limits, now);
    if (refused) return refused;
    this.#customers.makeRoomForJob();
    customer.forget(id);
    const job = new JobRecord(id, run, without(terms, uncharged));
    customer.chargeRates(job, this.#chargeTime());
    customer.lease(job, now + terms.pendingMs);
    return { allowed: true, replayed: false, limits: chargeStates(states, uncharged), shadowed };
  }

  /** A second try of an admission whose answer was lost, or another middleware's limits for the same job. */
  #admitAgain(customer: Customer, job: JobRecord, terms: Terms, now: number, adopt: boolean): Decision {
    const check = adopt ? adoptLimits : checkLimits;
    const own = job.counters();
    const open = job.state === 'pending' ? terms.limits : [];
    const { shadowed, uncharged, refused } = check(customer, open, now, own);
    if (refused) return refused;
    const missing = open.filter((limit) => !own.has(counterOf(limit)));
    if (missing.length > 0) {
      const at = this.#chargeTime();
      customer.addCharge(job, { terms: without({ ...terms, limits: missing }, uncharged), at });
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
          customer.chargeRates(job, this.#chargeTime());
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
          customer.chargeRates(job, this.#chargeTime());
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
    return this.#withJob(ref, 'unknown', (customer, job, now) => {
      if (job.state === 'refunded') return 'refunded';
      if (job.state === 'lapsed') customer.chargeRates(job, this.#chargeTime());
      else if (job.state !== 'pending' && job.state !== 'running') return 'already';
      customer.end(job, outcome.state, now, this.#clock.wallNow());
      return 'finished';
    });
  }

  async usage(customerId: string, limits: readonly Limit[]): Promise<Usage> {
    const now = this.#now();
    const customer = this.#customers.get(customerId, now, false);
    const effective = customer.effective({ limits, pendingMs: 0, rememberMs: 0 });
    return {
      limits: effective.limits.map((limit) => stateOf(customer, limit, now)),
      running: [...customer.leased.values()].map((job) => this.#describe(customer, job, now)),
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
      customer.end(job, 'completed', now, this.#clock.wallNow());
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
      // Its rate was charged when it was created, by a store that has forgotten it.
      job = new JobRecord(id, id, without(customer.effective(terms), ratesOf(terms.limits)));
      job.stamp(now);
    } else if (job.state === 'lapsed') {
      customer.chargeRates(job, this.#chargeTime());
    } else if (job.state !== 'running') {
      return false;
    }
    customer.start(job, now);
    return customer.leased.has(id);
  }

  async setOverride(customerId: string, limits: readonly Limit[] | null): Promise<void> {
    const customer = this.#customers.get(customerId, this.#now(), true);
    customer.overrides = limits === null ? undefined : new Map(limits.map((limit) => [limit.name, limit]));
  }

  async override(customerId: string): Promise<readonly Limit[] | null> {
    const { overrides } = this.#customers.get(customerId, this.#now(), false);
    return overrides === undefined ? null : [...overrides.values()];
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
    const wall = (time: number): number => this.#clock.wallNow() - (now - time);
    const described: StoredJob = {
      ref: { customer: customer.id, id: job.id },
      state: job.state,
      admittedAt: wall(job.at),
    };
    if (job.terms.plan !== undefined) described.plan = job.terms.plan;
    if (job.startedAt !== NEVER) described.startedAt = wall(job.startedAt);
    if (job.finishedAt !== undefined) described.finishedAt = job.finishedAt;
    if (customer.leased.has(job.id)) described.leaseUntil = wall(job.until);
    return described;
  }
}

function renewRunning(customer: Customer, job: JobRecord, now: number): 'renewed' | 'reinstated' | 'overrun' {
  const until = job.leaseEnd(now);
  if (until === undefined) return 'renewed';
  if (until <= now) return 'overrun';
  const held = customer.leased.has(job.id);
  customer.lease(job, until);
  return held ? 'renewed' : 'reinstated';
}

function warnInCluster(): void {
  if (warned || !cluster.isWorker) return;
  warned = true;
  process.emitWarning(
    'MemoryStore counts in each worker of a cluster apart, so that together they allow the limit once per worker. ' +
      'Use a store that the workers share.',
    { code: 'MEMORY_STORE_IN_CLUSTER' },
  );
}
