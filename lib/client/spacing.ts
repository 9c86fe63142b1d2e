import type { Left } from './rate-limit.js';

/** What an exhausted limit waits for when the server doesn't say: the shortest wait that it tells to those it refuses. */
const UNTOLD_S = 1;

/** Spreads the calls of one `retrying` by what the `RateLimit` header says is left, so that fewer are refused. */
export class Spacing {
  #startedAt = -Infinity;
  #intervalMs = 0;
  /** The interval is known until here: then the limit has been reset. */
  #knownUntil = -Infinity;
  #exhaustedUntil = -Infinity;

  /** When a call may start, on the monotonic clock. Its own jitter keeps those that wait for a reset from coming as one. */
  freeAt(jitterMs: number): number {
    const evenly = Math.min(this.#startedAt + this.#intervalMs, this.#knownUntil);
    return Math.max(this.#exhaustedUntil + jitterMs, evenly);
  }

  start(now: number): void {
    this.#startedAt = now;
  }

  /** Takes note of an answer. Limits that reset later than in `longestMs` are none to spread calls over. */
  note(limits: Left[], now: number, longestMs: number): void {
    this.#intervalMs = 0;
    for (const { r, t = r === 0 ? UNTOLD_S : 0 } of limits) {
      const resetMs = t * 1000;
      if (resetMs > longestMs) continue;
      if (r === 0) {
        this.#exhaustedUntil = Math.max(this.#exhaustedUntil, now + resetMs);
      } else if (resetMs / r > this.#intervalMs) {
        this.#intervalMs = resetMs / r;
        this.#knownUntil = now + resetMs;
      }
    }
  }
}
