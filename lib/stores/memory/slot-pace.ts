const SHORTEST_MS = 1_000;
const LONGEST_MS = 60_000;
const UNKNOWN_MS = 10_000;
/** What happened longer ago says nothing about the next minute. */
const STALE_MS = 300_000;
/** Weight of the newest gap in the moving average: about the last ten count. */
const WEIGHT = 0.2;

/** How often a customer's slots come free lately: the only thing known about when the next one will. */
export class SlotPace {
  #lastFreedAt: number | undefined;
  #everyMs: number | undefined;

  freed(now: number): void {
    if (this.#lastFreedAt !== undefined) {
      const gap = now - this.#lastFreedAt;
      const known = gap > STALE_MS ? undefined : this.#everyMs;
      this.#everyMs = known === undefined ? gap : known + WEIGHT * (gap - known);
    }
    this.#lastFreedAt = now;
  }

  /** Milliseconds until a slot is likely free: at least a second, at most a minute. */
  estimate(now: number): number {
    if (this.#everyMs === undefined || now - (this.#lastFreedAt as number) > STALE_MS) return UNKNOWN_MS;
    return Math.min(LONGEST_MS, Math.max(SHORTEST_MS, this.#everyMs));
  }
}
