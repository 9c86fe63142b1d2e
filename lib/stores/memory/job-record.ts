import {
  counterOf,
  type Amounts,
  type ConcurrencyLimit,
  type JobState,
  type Limit,
  type Terms,
} from '../store.js';
import type { Kept } from './retention.js';

/** A time that hasn't come. Times are whole numbers, so that V8 keeps them inside the record. */
export const NEVER = -1;

/** Terms that a job was admitted on, the override applied. */
export interface ChargedTerms extends Terms {
  /** Names of the limits that were not charged: shadow limits that were over, rates of a job that was restored. */
  uncharged?: readonly string[];
}

/** What one admission charged. */
export interface Charge {
  readonly terms: ChargedTerms;
  at: number;
  /** The date of `at`: to which periods its quotas belong. */
  date: number;
  /** What its quotas were charged. */
  readonly amounts: Amounts | undefined;
}

/** A task of a sweeper's: to end a job that ran too long, or to delete what has expired. */
interface Task {
  /** When it is due, or comes up again after a claim; on the monotonic clock for a running job, else a date. */
  at: number;
  /** How often it was claimed. */
  tries: number;
}

/** What few jobs have: apart, so that those that don't have it need no room for it. */
interface Extras {
  /** Charges that other middlewares of the same request added. */
  added?: Charge[];
  amounts?: Amounts;
  date?: number;
  kept?: Kept;
  task?: Task;
  /** Why its results are held beyond their time. */
  pinned?: string | undefined;
}

/**
 * A job as MemoryStore keeps it; the truth about its state. Times are on the monotonic clock. Its fields are few and flat
 * since every running and every remembered job costs one. It is itself the charge of its first admission.
 */
export class JobRecord implements Charge {
  state: JobState = 'pending';
  /** When it was charged; `NEVER` for a job that was restored from the host's list. */
  at = NEVER;
  startedAt = NEVER;
  /** While it holds a lease, the end of the lease; afterwards, when it may be forgotten. */
  until = NEVER;
  /** Epoch milliseconds. */
  finishedAt: number | undefined = undefined;
  #extras: Extras | undefined = undefined;

  constructor(
    readonly id: string,
    readonly run: string,
    readonly terms: ChargedTerms,
    amounts?: Amounts,
  ) {
    if (amounts !== undefined) this.extras.amounts = amounts;
  }

  /** To be written to. */
  get extras(): Extras {
    return (this.#extras ??= {});
  }

  get added(): readonly Charge[] | undefined {
    return this.#extras?.added;
  }

  get amounts(): Amounts | undefined {
    return this.#extras?.amounts;
  }

  get date(): number {
    return this.#extras?.date ?? NEVER;
  }

  get kept(): Kept | undefined {
    return this.#extras?.kept;
  }

  get task(): Task | undefined {
    return this.#extras?.task;
  }

  get pinned(): string | undefined {
    return this.#extras?.pinned;
  }

  /** Calls back for every limit that was charged. */
  forEachCharged(visit: (limit: Limit, charge: Charge) => void): void {
    visitCharged(this, visit);
    if (this.added) for (const charge of this.added) visitCharged(charge, visit);
  }

  /** Sets the time of all charges, for when they are made anew. */
  stamp(at: number, date: number): void {
    this.at = at;
    if (this.terms.limits.some(isQuota)) this.extras.date = date;
    if (this.added) for (const charge of this.added) [charge.at, charge.date] = [at, date];
  }

  /** Which counters it is charged to. An infinite rate counts nothing. */
  counters(): Set<string> {
    const counters = new Set<string>();
    for (const { terms } of [this, ...(this.added ?? [])]) {
      for (const limit of terms.limits) {
        if (limit.kind !== 'creation-rate' || limit.limit !== Infinity) counters.add(counterOf(limit));
      }
    }
    return counters;
  }

  /** When its lease ends if it is renewed now, running; `undefined` where nothing limits how many run. */
  leaseEnd(now: number): number | undefined {
    const { hardEnd } = this;
    if (hardEnd === undefined) return undefined;
    const heartbeatMs = this.#shortest((limit) => limit.heartbeatMs);
    return heartbeatMs === undefined ? hardEnd : Math.min(hardEnd, now + heartbeatMs);
  }

  /** When it must have ended, once it has started. */
  get hardEnd(): number | undefined {
    const maxRunMs = this.#shortest((limit) => limit.maxRunMs);
    return maxRunMs === undefined ? undefined : this.startedAt + maxRunMs;
  }

  #shortest(of: (limit: ConcurrencyLimit) => number | undefined): number | undefined {
    let shortest = shortestIn(this.terms, of);
    if (this.added) {
      for (const { terms } of this.added) shortest = Math.min(shortest, shortestIn(terms, of));
    }
    return shortest === Infinity ? undefined : shortest;
  }
}

/** A job that nobody has admitted here: only its end is known. */
export function endedElsewhere(id: string, now: number): JobRecord {
  const job = new JobRecord(id, id, { limits: [], pendingMs: 0, rememberMs: 0 });
  job.at = now;
  return job;
}

const isQuota = ({ kind }: Limit): boolean => kind === 'quota';

export function visitCharged(charge: Charge, visit: (limit: Limit, charge: Charge) => void): void {
  const { limits, uncharged } = charge.terms;
  for (const limit of limits) if (!uncharged?.includes(limit.name)) visit(limit, charge);
}

/** The terms as they are charged when those limits are left out. The same object where none is, to be shared. */
export const without = (terms: Terms, uncharged: readonly string[]): ChargedTerms =>
  uncharged.length === 0 ? terms : { ...terms, uncharged };

/** How long a job on these terms may run; `Infinity` where nothing says so. */
export const longestRun = (terms: Terms): number => shortestIn(terms, ({ maxRunMs }) => maxRunMs);

function shortestIn({ limits }: Terms, of: (limit: ConcurrencyLimit) => number | undefined): number {
  let shortest = Infinity;
  for (const limit of limits) {
    const value = limit.kind === 'concurrency' ? of(limit) : undefined;
    if (value !== undefined && value < shortest) shortest = value;
  }
  return shortest;
}
