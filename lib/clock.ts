/**
 * Where time comes from. Windows and leases count by `now`, which never jumps; quotas and retention are dates, so
 * they go by `wallNow`. Timers go through the clock too, so that a test can move them.
 */
export interface Clock {
  /** Milliseconds on a monotonic clock, of no fixed origin; may have a fraction. */
  now(): number;
  /** Milliseconds since 1970, UTC; may jump when the machine's clock is set. */
  wallNow(): number;
  /** Calls `run` every `intervalMs`, and does not keep the process alive. Returns what stops it. */
  every(intervalMs: number, run: () => void): () => void;
}

/** The machine's own clock. Reads the globals at each call, so that fake timers of a test framework apply. */
export const systemClock: Clock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
  every(intervalMs, run) {
    const timer = setInterval(run, intervalMs);
    timer.unref();
    return () => clearInterval(timer);
  },
};

/**
 * A clock that stands still until it is told otherwise, for tests: ours and yours.
 *
 * @example
 * const clock = new ManualClock();
 * const store = new MemoryStore({ clock });
 * clock.advance(60_000); // a window of a minute is over
 */
export class ManualClock implements Clock {
  #now: number;
  #wallOffset: number;
  readonly #timers = new Set<{ dueAt: number; intervalMs: number; run: () => void }>();

  /** @param start Where both clocks begin: `now` in milliseconds, `wallNow` as a date. @default 0 and 2026-01-01 UTC */
  constructor(start: { now?: number; wallNow?: number } = {}) {
    this.#now = start.now ?? 0;
    this.#wallOffset = (start.wallNow ?? Date.UTC(2026, 0, 1)) - this.#now;
  }

  now(): number {
    return this.#now;
  }

  wallNow(): number {
    return this.#now + this.#wallOffset;
  }

  every(intervalMs: number, run: () => void): () => void {
    const timer = { dueAt: this.#now + intervalMs, intervalMs, run };
    this.#timers.add(timer);
    return () => this.#timers.delete(timer);
  }

  /** Moves both clocks on and runs the timers that fall due, each at its own time and in order. */
  advance(durationMs: number): void {
    const end = this.#now + durationMs;
    for (;;) {
      let next: { dueAt: number; intervalMs: number; run: () => void } | undefined;
      for (const timer of this.#timers) {
        if (timer.dueAt <= end && (next === undefined || timer.dueAt < next.dueAt)) next = timer;
      }
      if (next === undefined) break;
      this.#now = Math.max(this.#now, next.dueAt);
      next.dueAt += next.intervalMs;
      next.run();
    }
    this.#now = end;
  }

  /** Moves the wall clock alone, as an operator or NTP does. The monotonic clock doesn't notice. */
  setWall(epochMs: number): void {
    this.#wallOffset = epochMs - this.#now;
  }
}
