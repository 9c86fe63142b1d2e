/** How many events of one kind are allowed in a window: a reading above `limit` refuses, exactly `limit` passes. */
export interface RateLimit {
  limit: number;
  /** Milliseconds, above 0. */
  windowMs: number;
}

/**
 * One event counter a client, each three numbers: the count of the window before (`prev`), of the current window
 * (`curr`), and when that one started. It counts as HAProxy's `freq_ctr` does, so that a limit of a stick table means
 * the same here: windows follow each other from a client's first event on, and the window before is weighed by the
 * share of it that still lies within one window of now.
 */
export class RateCounters {
  readonly windowMs: number;
  readonly #prev: Uint32Array;
  readonly #curr: Uint32Array;
  readonly #start: Float64Array;

  constructor(capacity: number, windowMs: number) {
    this.windowMs = windowMs;
    this.#prev = new Uint32Array(capacity);
    this.#curr = new Uint32Array(capacity);
    this.#start = new Float64Array(capacity).fill(-Infinity);
  }

  /** Bytes reserved for the counters of all clients. */
  get bytes(): number {
    return this.#prev.byteLength + this.#curr.byteLength + this.#start.byteLength;
  }

  /** Forgets one client's events. */
  clear(index: number): void {
    this.#prev[index] = 0;
    this.#curr[index] = 0;
    this.#start[index] = -Infinity;
  }

  /** Forgets everybody's events. */
  clearAll(): void {
    this.#prev.fill(0);
    this.#curr.fill(0);
    this.#start.fill(-Infinity);
  }

  /** Counts one event at `now` (milliseconds, never less than at an earlier call for this client). */
  add(index: number, now: number): void {
    const elapsed = now - this.#start[index]!;
    if (elapsed < this.windowMs) {
      this.#curr[index]! += 1;
    } else if (elapsed < 2 * this.windowMs) {
      this.#prev[index] = this.#curr[index]!;
      this.#curr[index] = 1;
      this.#start[index]! += this.windowMs;
    } else {
      this.#prev[index] = 0;
      this.#curr[index] = 1;
      this.#start[index] = now;
    }
  }

  /** The rate at `now`: a whole number of events, to be compared with the limit. Changes nothing. */
  read(index: number, now: number): number {
    const windowMs = this.windowMs;
    const end = this.#start[index]! + windowMs;
    if (now < end) return weighed(this.#prev[index]!, end - now, windowMs) + this.#curr[index]!;
    if (now > end + windowMs) return 0;
    const curr = this.#curr[index]!;
    // A single event would be weighed down to 0 at once; HAProxy keeps so low a rate from flapping.
    return curr <= 1 ? curr : weighed(curr, end + windowMs - now, windowMs);
  }

  /** Whether nothing that was counted can matter any more at `now`. */
  isOver(index: number, now: number): boolean {
    return now > this.#start[index]! + 2 * this.windowMs;
  }

  /**
   * Milliseconds from `now` until the reading is within `limit`, if nothing else is counted until then; 0 where it is
   * already. `Infinity` where it never is.
   *
   * @param upcoming Events that happen at that very moment and count too: 1 for a retry that is itself a request.
   */
  waitUntilWithin(limit: number, upcoming: 0 | 1, index: number, now: number): number {
    const windowMs = this.windowMs;
    const curr = this.#curr[index]!;
    const end = this.#start[index]! + windowMs;
    const room = limit - upcoming;
    if (room < 0) return Infinity;
    if (now < end) {
      const at = momentWithin(room - curr, this.#prev[index]!, end, windowMs, now);
      if (at < end) return at - now;
    }
    const next = Math.max(now, end);
    if (upcoming === 0 && curr <= 1 && curr > limit) return Math.max(0, end + windowMs + 1 - now);
    return Math.max(
      0,
      Math.min(momentWithin(room, curr, end + windowMs, windowMs, next), next + windowMs) - now,
    );
  }
}

/** The share of the window before that still counts; in this order of operations, which decides the rounding. */
const weighed = (count: number, remainingMs: number, windowMs: number): number =>
  Math.floor((count * remainingMs) / windowMs);

/** The first moment, not before `now` and to the millisecond above, at which `weighed` is at most `room`. */
function momentWithin(room: number, count: number, end: number, windowMs: number, now: number): number {
  if (room < 0) return Infinity;
  if (weighed(count, end - now, windowMs) <= room) return now;
  return Math.max(now, end - ((room + 1) * windowMs) / count + 1);
}
