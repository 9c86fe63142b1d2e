import {
  counterOf,
  type EndState,
  type Limit,
  type RateLimit,
  type StoreEvent,
  type Terms,
} from '../store.js';
import { NEVER, visitCharged, type Charge, type JobRecord } from './job-record.js';
import { RateLog } from './rate-log.js';
import { SlotPace } from './slot-pace.js';

/** How long a refunded or lapsed job is remembered, so that a late commit or finish is told what became of it. */
const UNDONE_MEMORY_MS = 3_600_000;
/** How long a job that lost its lease is remembered when nobody finishes it. */
const OVERDUE_MEMORY_MS = 30 * 24 * 3_600_000;

/** What all customers of a store share. */
export interface Ledger {
  /** Jobs kept for all customers. */
  jobs: number;
  readonly emit: (event: StoreEvent) => void;
}

/**
 * One customer's counters and jobs. Every method leaves them in agreement: `held` is the number of leased jobs charged to
 * each concurrency counter, and a job is in `leased` exactly while it holds a lease.
 */
export class Customer {
  /** Pending jobs, and running ones that hold a slot. */
  readonly leased = new Map<string, JobRecord>();
  /** Jobs that hold no lease: finished, undone, overdue. Roughly in the order in which they may be forgotten. */
  readonly unleased = new Map<string, JobRecord>();
  readonly logs = new Map<string, RateLog>();
  readonly held = new Map<string, number>();
  readonly pace = new SlotPace();
  /** Refunds of a rate are limited as admissions are, each counter's by a log of its own. */
  readonly #refunds = new Map<string, RateLog>();
  #overrides: ReadonlyMap<string, Limit> | undefined;
  /** Terms with the override applied, by those without. */
  #effective = new WeakMap<Terms, Terms>();
  /** No lease ends before this. */
  #nextLapseAt = Infinity;
  /** No job that holds no lease may be forgotten before this. */
  #nextForgetAt = Infinity;

  constructor(
    readonly id: string,
    readonly ledger: Ledger,
  ) {}

  /** Brings everything up to now: leases that ran out are freed. Called first by every operation. */
  settle(now: number): void {
    if (now >= this.#nextLapseAt) {
      this.#nextLapseAt = Infinity;
      for (const job of this.leased.values()) {
        if (job.until <= now) this.#lapse(job, now);
        else this.#nextLapseAt = Math.min(this.#nextLapseAt, job.until);
      }
    }
    for (const job of this.unleased.values()) {
      if (job.until > now) break;
      this.forget(job.id);
    }
  }

  find(id: string, now: number): JobRecord | undefined {
    const leased = this.leased.get(id);
    if (leased !== undefined) return leased;
    const job = this.unleased.get(id);
    return job !== undefined && job.until > now ? job : undefined;
  }

  get overrides(): ReadonlyMap<string, Limit> | undefined {
    return this.#overrides;
  }

  set overrides(overrides: ReadonlyMap<string, Limit> | undefined) {
    this.#overrides = overrides;
    this.#effective = new WeakMap();
  }

  /** The terms that really hold: limits are replaced by overrides of the same name and kind. */
  effective(terms: Terms): Terms {
    if (this.#overrides === undefined) return terms;
    let effective = this.#effective.get(terms);
    if (effective === undefined) {
      effective = { ...terms, limits: terms.limits.map((limit) => this.#overridden(limit)) };
      this.#effective.set(terms, effective);
    }
    return effective;
  }

  #overridden(limit: Limit): Limit {
    const override = this.#overrides?.get(limit.name);
    if (override?.kind !== limit.kind) return limit;
    const replacement = { ...override };
    if (limit.key === undefined) delete replacement.key;
    else replacement.key = limit.key;
    return replacement;
  }

  /** Charges the rates of the job, whatever the limits say. Its slots are counted while it is leased. */
  chargeRates(job: JobRecord, at: number): void {
    job.stamp(at);
    job.forEachCharged(this.#addToLog);
  }

  /** Adds limits to a leased job. */
  addCharge(job: JobRecord, charge: Charge): void {
    (job.added ??= []).push(charge);
    visitCharged(charge, (limit, at) => {
      this.#addToLog(limit, at);
      if (limit.kind === 'concurrency') this.#count(limit, 1);
    });
  }

  log(limit: RateLimit): RateLog {
    const counter = counterOf(limit);
    let log = this.logs.get(counter);
    if (log === undefined) this.logs.set(counter, (log = new RateLog(limit.windowMs)));
    return log;
  }

  /** The job holds a lease until then; its slots are counted from here on. */
  lease(job: JobRecord, until: number): void {
    if (!this.leased.has(job.id)) {
      this.forget(job.id);
      this.leased.set(job.id, job);
      this.ledger.jobs += 1;
      job.forEachCharged((limit) => {
        if (limit.kind === 'concurrency') this.#count(limit, 1);
      });
    }
    job.until = until;
    if (until < this.#nextLapseAt) this.#nextLapseAt = until;
  }

  /** The job runs: it holds a lease as long as its limits say, or none where nothing limits how many run. */
  start(job: JobRecord, now: number): void {
    job.state = 'running';
    if (job.startedAt === NEVER) job.startedAt = Math.max(now, job.at);
    const until = job.leaseEnd(now);
    if (until === undefined) this.#release(job, now, job.terms.rememberMs);
    else if (until > now) this.lease(job, until);
  }

  end(job: JobRecord, state: EndState, now: number, wallNow: number): void {
    job.state = state;
    if (job.startedAt === NEVER) job.startedAt = Math.max(now, job.at);
    job.finishedAt = wallNow;
    this.#release(job, now, job.terms.rememberMs);
  }

  /** Gives back all that the job was charged. */
  undo(job: JobRecord, state: 'refunded' | 'lapsed', now: number): void {
    job.forEachCharged((limit, at) => {
      if (limit.kind === 'creation-rate') this.#refundRate(limit, at, now);
    });
    this.#release(job, now, Math.min(UNDONE_MEMORY_MS, job.terms.rememberMs));
    job.state = state;
  }

  /** Forgets a job that holds no lease. */
  forget(id: string): void {
    if (this.unleased.delete(id)) this.ledger.jobs -= 1;
  }

  /** Forgets up to that many jobs that hold no lease, and says how many. */
  forgetOldest(most: number): number {
    let forgotten = 0;
    for (const id of this.unleased.keys()) {
      if (forgotten === most) break;
      this.forget(id);
      forgotten += 1;
    }
    return forgotten;
  }

  /** Whether nothing would be lost by forgetting this customer. */
  isIdle(now: number): boolean {
    if (now >= this.#nextForgetAt) {
      this.#nextForgetAt = Infinity;
      for (const job of this.unleased.values()) {
        if (job.until <= now) this.forget(job.id);
        else this.#nextForgetAt = Math.min(this.#nextForgetAt, job.until);
      }
    }
    for (const logs of [this.logs, this.#refunds]) {
      for (const [counter, log] of logs) if (log.isIdle(now)) logs.delete(counter);
    }
    const kept = this.leased.size + this.unleased.size + this.logs.size + this.#refunds.size;
    return kept === 0 && this.#overrides === undefined;
  }

  #release(job: JobRecord, now: number, memoryMs: number): void {
    this.forget(job.id);
    if (this.leased.delete(job.id)) {
      this.ledger.jobs -= 1;
      let slots = 0;
      job.forEachCharged((limit) => {
        if (limit.kind !== 'concurrency') return;
        this.#count(limit, -1);
        slots += 1;
      });
      if (slots > 0) this.pace.freed(now);
    }
    if (memoryMs === 0) return;
    job.until = now + memoryMs;
    this.unleased.set(job.id, job);
    if (job.until < this.#nextForgetAt) this.#nextForgetAt = job.until;
    this.ledger.jobs += 1;
  }

  #lapse(job: JobRecord, now: number): void {
    if (job.state === 'pending') {
      this.undo(job, 'lapsed', now);
      this.ledger.emit({ type: 'lapsed', ref: { customer: this.id, id: job.id } });
    } else {
      this.#release(job, now, OVERDUE_MEMORY_MS);
    }
  }

  readonly #addToLog = (limit: Limit, at: number): void => {
    if (limit.kind === 'creation-rate' && limit.limit !== Infinity) this.log(limit).add(at);
  };

  #count(limit: Limit, by: number): void {
    const counter = counterOf(limit);
    const held = (this.held.get(counter) ?? 0) + by;
    if (held === 0) this.held.delete(counter);
    else this.held.set(counter, held);
  }

  #refundRate(limit: RateLimit, at: number, now: number): void {
    const counter = counterOf(limit);
    let refunds = this.#refunds.get(counter);
    if (refunds === undefined) this.#refunds.set(counter, (refunds = new RateLog(limit.windowMs)));
    if (refunds.count(now, limit.windowMs) >= limit.limit) return;
    const log = this.logs.get(counter);
    // A charge that the window has left behind is not given back, and costs no refund.
    if (log !== undefined && log.count(now, limit.windowMs) > 0 && log.remove(at)) refunds.add(now);
  }
}
