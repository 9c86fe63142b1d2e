import { isStale, overriddenTerms } from '../override.js';
import {
  counterOf,
  type Outcome,
  type Override,
  type RateLimit,
  type StoreEvent,
  type Terms,
  type Limit,
} from '../store.js';
import { NEVER, visitCharged, type Charge, type JobRecord } from './job-record.js';
import { Quotas } from './quotas.js';
import { RateLog } from './rate-log.js';
import { timesOf, UNSWEPT_MS, type Kept } from './retention.js';
import { SlotPace } from './slot-pace.js';
import type { Times } from './times.js';

/** How long a refunded or lapsed job is remembered, so that a late commit or finish is told what became of it. */
const UNDONE_MEMORY_MS = 3_600_000;
/** How long a job that lost its lease is remembered when nobody finishes it. */
const OVERDUE_MEMORY_MS = 30 * 24 * 3_600_000;

/** Who is told of jobs that sweepers have to do something about. */
export interface DueList {
  /** A running job lost its lease. */
  overrun(customer: Customer, job: JobRecord): void;
  /** A kept job, or what is to happen to it, is new. */
  kept(customer: Customer, job: JobRecord): void;
}

/** What all customers of a store share. */
export interface Ledger {
  /** Jobs kept for all customers. */
  jobs: number;
  readonly emit: (event: StoreEvent) => void;
  readonly wallNow: () => number;
  readonly due: DueList;
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
  /** Finished jobs of which something is kept, or is yet to be deleted. */
  readonly kept = new Map<string, JobRecord>();
  readonly logs = new Map<string, RateLog>();
  readonly held = new Map<string, number>();
  readonly quotas = new Quotas();
  readonly pace = new SlotPace();
  /** Refunds of a rate are limited as admissions are, each counter's by a log of its own. */
  readonly #refunds = new Map<string, RateLog>();
  #override: Override | undefined;
  /** Terms with the override applied, by those without. */
  #effective = new WeakMap<Terms, Terms>();
  /** No lease ends before this. */
  #nextLapseAt = Infinity;
  /** No job that holds no lease may be forgotten before this. */
  #nextForgetAt = Infinity;
  /** Kept jobs whose results are deleted: counted, since a full store asks at each admission. */
  #metadataOnly = 0;
  /** No kept job may be dropped before this, as a date. */
  #nextDropAt = Infinity;

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
    if (job !== undefined && job.until > now) return job;
    return this.kept.get(id);
  }

  /** The override that holds, if there is one. */
  get override(): Override | undefined {
    if (this.#override !== undefined && isStale(this.#override, this.ledger.wallNow()))
      this.override = undefined;
    return this.#override;
  }

  set override(override: Override | undefined) {
    this.#override = override;
    this.#effective = new WeakMap();
  }

  /** The terms that really hold, with the override applied. */
  effective(terms: Terms): Terms {
    const { override } = this;
    if (override === undefined) return terms;
    let effective = this.#effective.get(terms);
    if (effective === undefined) {
      this.#effective.set(terms, (effective = overriddenTerms(terms, override)));
    }
    return effective;
  }

  /** Charges the rates and quotas of the job, whatever the limits say. Its slots are counted while it is leased. */
  charge(job: JobRecord, at: number, date: number): void {
    job.stamp(at, date);
    job.forEachCharged(this.#add);
  }

  /** Adds limits to a leased job. */
  addCharge(job: JobRecord, charge: Charge): void {
    (job.extras.added ??= []).push(charge);
    visitCharged(charge, (limit) => {
      this.#add(limit, charge);
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

  /** Ends the job, and settles its quotas. `false` where a period that they belong to is forgotten. */
  end(job: JobRecord, { state, units, retention }: Outcome, { now, date }: Times): boolean {
    job.state = state;
    if (job.startedAt === NEVER) job.startedAt = Math.max(now, job.at);
    job.finishedAt = date;
    let times = timesOf(job.terms, state, retention);
    // Held by a pin, though nothing says how long it is kept without.
    if (job.pinned !== undefined) times ??= { resultsMs: 0, metadataMs: job.terms.rememberMs };
    const { settled, stored } = this.quotas.settle(job, units, times !== undefined, date);
    this.#release(job, now, times === undefined ? job.terms.rememberMs : 0);
    if (times !== undefined) {
      this.keep(job, {
        resultsExpireAt: date + times.resultsMs,
        metadataExpireAt: date + times.metadataMs,
        noticeMs: Math.min(job.terms.retention?.noticeMs ?? 0, times.resultsMs),
        deleted: false,
        stored,
      });
    }
    return settled;
  }

  /** Of a finished job this is kept from here on. */
  keep(job: JobRecord, kept: Kept): void {
    job.extras.kept = kept;
    this.kept.set(job.id, job);
    this.ledger.jobs += 1;
    this.#nextDropAt = Math.min(this.#nextDropAt, kept.metadataExpireAt + UNSWEPT_MS);
    this.ledger.due.kept(this, job);
  }

  /** Gives back all that the job was charged. */
  undo(job: JobRecord, state: 'refunded' | 'lapsed', now: number): void {
    job.forEachCharged((limit, charge) => {
      if (limit.kind === 'creation-rate') this.#refundRate(limit, charge.at, now);
      else if (limit.kind === 'quota') this.quotas.giveBack(limit, charge);
    });
    this.#release(job, now, Math.min(UNDONE_MEMORY_MS, job.terms.rememberMs));
    job.state = state;
  }

  /** Forgets a job that holds no lease. */
  forget(id: string): void {
    if (this.unleased.delete(id)) this.ledger.jobs -= 1;
  }

  /** The results of a kept job are gone, and given back what they took of storage. */
  resultsDeleted(kept: Kept): void {
    kept.deleted = true;
    this.#metadataOnly += 1;
    this.quotas.giveBackStored(kept);
  }

  forgetKept({ id, kept }: JobRecord): void {
    if (!this.kept.delete(id)) return;
    this.ledger.jobs -= 1;
    if (kept!.deleted) this.#metadataOnly -= 1;
  }

  /** How many jobs may be forgotten to make room: those that hold no lease, and of which no results are kept. */
  get forgettable(): number {
    return this.unleased.size + this.#metadataOnly;
  }

  /** Forgets up to that many of them, and says how many. */
  forgetOldest(most: number): number {
    let forgotten = 0;
    for (const id of this.unleased.keys()) {
      if (forgotten === most) return forgotten;
      this.forget(id);
      forgotten += 1;
    }
    for (const job of this.kept.values()) {
      if (forgotten === most) break;
      if (!job.kept!.deleted) continue;
      this.forgetKept(job);
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
    const date = this.ledger.wallNow();
    this.#dropUnswept(date);
    const sizes = [this.leased, this.unleased, this.kept, this.logs, this.#refunds];
    const nothing = this.quotas.isIdle(date) && this.override === undefined;
    return nothing && sizes.every(({ size }) => size === 0);
  }

  /** Drops records whose time was over long ago, and that no sweeper has taken. */
  #dropUnswept(date: number): void {
    if (date < this.#nextDropAt) return;
    this.#nextDropAt = Infinity;
    let count = 0;
    for (const job of this.kept.values()) {
      const dropAt = job.kept!.metadataExpireAt + UNSWEPT_MS;
      if (job.pinned !== undefined || dropAt > date) {
        this.#nextDropAt = Math.min(this.#nextDropAt, Math.max(dropAt, date + UNSWEPT_MS));
        continue;
      }
      this.quotas.giveBackStored(job.kept!);
      this.forgetKept(job);
      count += 1;
    }
    if (count > 0) {
      const reason = 'they expired 30 days ago and nobody swept them';
      this.ledger.emit({ type: 'records-dropped', count, reason });
    }
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
      this.ledger.due.overrun(this, job);
    }
  }

  readonly #add = (limit: Limit, charge: Charge): void => {
    if (limit.kind === 'creation-rate') {
      if (limit.limit !== Infinity) this.log(limit).add(charge.at);
    } else if (limit.kind === 'quota') this.quotas.charge(limit, charge);
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

/** Heartbeat of a running job. */
export function renewRunning(
  customer: Customer,
  job: JobRecord,
  now: number,
): 'renewed' | 'reinstated' | 'overrun' {
  const until = job.leaseEnd(now);
  if (until === undefined) return 'renewed';
  if (until <= now) return 'overrun';
  const held = customer.leased.has(job.id);
  customer.lease(job, until);
  return held ? 'renewed' : 'reinstated';
}
