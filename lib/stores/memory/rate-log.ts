const SMALLEST = 8;

/**
 * The times of a customer's latest admissions, oldest first: an exact window. A ring that grows as needed and holds only
 * what the window still covers, so a changed limit needs nothing.
 *
 * An entry at `t` counts in `[t, t + window)`. Times come in whole milliseconds and never run backwards.
 */
export class RateLog {
  #times = new Float64Array(SMALLEST);
  #head = 0;
  #size = 0;

  /** @param windowMs The window as it was last counted by, which says when the log is idle. */
  constructor(private windowMs: number) {}

  /** How many entries the window that ends now holds. Forgets those that are older. */
  count(now: number, windowMs: number): number {
    this.windowMs = windowMs;
    while (this.#size > 0 && this.#at(0) <= now - windowMs) {
      this.#head = (this.#head + 1) % this.#times.length;
      this.#size -= 1;
    }
    return this.#size;
  }

  /** Whether the window, as it was last counted, holds nothing. */
  isIdle(now: number): boolean {
    return this.count(now, this.windowMs) === 0;
  }

  /** The time of the nth newest entry, 1 being the newest. Only for 1 ≤ n ≤ the last count. */
  nthNewest(n: number): number {
    return this.#at(this.#size - n);
  }

  /** The time of the oldest entry. Only where the last count was above 0. */
  oldest(): number {
    return this.#at(0);
  }

  add(time: number): void {
    if (this.#size === this.#times.length) this.#grow();
    this.#set(this.#size, time);
    this.#size += 1;
  }

  /** Takes out one entry of that time. `false` when there is none. */
  remove(time: number): boolean {
    let index = this.#size - 1;
    while (index >= 0 && this.#at(index) > time) index -= 1;
    if (index < 0 || this.#at(index) !== time) return false;
    for (let i = index; i < this.#size - 1; i += 1) this.#set(i, this.#at(i + 1));
    this.#size -= 1;
    return true;
  }

  #at(index: number): number {
    return this.#times[(this.#head + index) % this.#times.length] as number;
  }

  #set(index: number, time: number): void {
    this.#times[(this.#head + index) % this.#times.length] = time;
  }

  #grow(): void {
    const times = new Float64Array(this.#times.length * 2);
    for (let i = 0; i < this.#size; i += 1) times[i] = this.#at(i);
    this.#times = times;
    this.#head = 0;
  }
}
