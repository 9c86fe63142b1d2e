import type { Limit, Terms } from '../store.js';

/** The part of the limits that one of so many processes may use by itself: at least 1, since a limit that allows stays one. */
export class Shares {
  readonly #terms = new WeakMap<Terms, Terms>();

  constructor(readonly processes: number) {}

  ofTerms(terms: Terms): Terms {
    let share = this.#terms.get(terms);
    if (share === undefined) {
      share = { ...terms, limits: this.ofLimits(terms.limits) };
      // What is kept is the store's affair: nobody sweeps here.
      delete share.retention;
      this.#terms.set(terms, share);
    }
    return share;
  }

  ofLimits(limits: readonly Limit[]): Limit[] {
    return limits.map((limit) => ({ ...limit, limit: this.of(limit.limit) }));
  }

  of(limit: number): number {
    if (limit === 0 || limit === Infinity) return limit;
    return Math.max(1, Math.floor(limit / this.processes));
  }
}
