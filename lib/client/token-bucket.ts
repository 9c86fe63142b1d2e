import { checkNumber } from './option-error.js';

export interface TokenBucketOptions {
  /** How many retries may come at once; at least 1. @default 10 */
  capacity?: number;
  /** How many more each second; 0: none but those that successes bring back. @default 1 */
  perSecond?: number;
}

/**
 * A budget of retries. Each retry takes a token; each call that ends well brings one back, so that retries that help
 * may go on and those that don't run dry. One bucket may be given to several `retrying`.
 */
export class TokenBucket {
  readonly #capacity: number;
  readonly #perMs: number;
  #tokens: number;
  #filledAt = Infinity;

  constructor({ capacity = 10, perSecond = 1 }: TokenBucketOptions = {}) {
    checkNumber('budget.capacity', capacity, 1);
    checkNumber('budget.perSecond', perSecond);
    this.#capacity = this.#tokens = capacity;
    this.#perMs = perSecond / 1000;
  }

  /**
   * Takes a token, if there is one.
   *
   * @param now Milliseconds on a monotonic clock, the same one at every call.
   * @returns 0 when it was taken, else the whole milliseconds until the next one; `Infinity` when time brings none.
   */
  take(now: number): number {
    const grown = this.#tokens + Math.max(0, now - this.#filledAt) * this.#perMs;
    this.#tokens = Math.min(this.#capacity, grown);
    this.#filledAt = now;
    // Whole milliseconds: a wait of next to nothing might not move the clock.
    if (this.#tokens < 1) return Math.ceil((1 - this.#tokens) / this.#perMs);
    this.#tokens--;
    return 0;
  }

  /** Brings a token back; what is above the capacity is lost. */
  giveBack(): void {
    this.#tokens++;
  }
}
