import { counterOf, type ConcurrencyLimit, type JobState, type Limit, type Terms } from '../store.js';

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
  /** Charges that other middlewares of the same request added. */
  added: Charge[] | undefined = undefined;

  constructor(
    readonly id: string,
    readonly run: string,
    readonly terms: ChargedTerms,
  ) {}

  /** Calls back for every limit that was charged. */
  forEachCharged(visit: (limit: Limit, at: number) => void): void {
    visitCharged(this, visit);
    if (this.added) for (const charge of this.added) visitCharged(charge, visit);
  }

  /** Sets the time of all charges, for when they are made anew. */
  stamp(at: number): void {
    this.at = at;
    if (this.added) for (const charge of this.added) charge.at = at;
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
    const maxRunMs = this.#shortest((limit) => limit.maxRunMs);
    if (maxRunMs === undefined) return undefined;
    const heartbeatMs = this.#shortest((limit) => limit.heartbeatMs);
    const hardEnd = this.startedAt + maxRunMs;
    return heartbeatMs === undefined ? hardEnd : Math.min(hardEnd, now + heartbeatMs);
  }

  #shortest(of: (limit: ConcurrencyLimit) => number | undefined): number | undefined {
    let shortest = shortestIn(this.terms, of);
    if (this.added) {
      for (const { terms } of this.added) shortest = Math.min(shortest, shortestIn(terms, of));
    }
    return shortest === Infinity ? undefined : shortest;
  }
}

export function visitCharged({ terms, at }: Charge, visit: (limit: Limit, at: number) => void): void {
  for (const limit of terms.limits) if (!terms.uncharged?.includes(limit.name)) visit(limit, at);
}

/** The terms as they are charged when those limits are left out. The same object where none is, to be shared. */
export const without = (terms: Terms, uncharged: readonly string[]): ChargedTerms =>
  uncharged.length === 0 ? terms : { ...terms, uncharged };

function shortestIn({ limits }: Terms, of: (limit: ConcurrencyLimit) => number | undefined): number {
  let shortest = Infinity;
  for (const limit of limits) {
    const value = limit.kind === 'concurrency' ? of(limit) : undefined;
    if (value !== undefined && value < shortest) shortest = value;
  }
  return shortest;
}
