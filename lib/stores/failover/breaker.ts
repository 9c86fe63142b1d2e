import type { Clock } from '../../clock.js';
import { StoreError } from '../../errors.js';
import { withTimeout } from '../timeout.js';
import { isOutage } from './outage.js';

/** How often a store that is out is tried. */
const RETRY_MS = 1_000;
/** A failure that took this long must not be had by every call; quicker ones cost little. */
const SLOW_MS = 100;

export interface BreakerSettings {
  timeoutMs: number;
  clock: Clock;
  /** Asks the store for something that it has to write, so that a read-only one is not taken for back. */
  probe: () => Promise<unknown>;
  /** The store is out from now on. Calls are refused until `returns` has been called and was done. */
  out: () => void;
  /** The store answers again. Called again a second later when it throws. */
  returns: () => Promise<void>;
  /** Calls reach the store again from now on. */
  returned: () => void;
  /** Every failure of a call. */
  failed: (operation: string, error: unknown) => void;
  /** Every call that the store answered, and after how long. */
  answered: (operation: string, durationMs: number) => void;
}

/**
 * Keeps an outage from costing every call a timeout. The first call that fails slowly ends the waiting of all others under
 * way; from then on calls fail at once, while the store is tried in the background once a second. A call that fails
 * quickly does this only if the store fails a probe too: it may be that call's own fault.
 */
export class Breaker {
  #out = false;
  #closed = false;
  #suspected = false;
  #stop: (() => void) | undefined;
  #trying = false;
  readonly #waiting = new Set<(error: StoreError) => void>();

  constructor(private readonly settings: BreakerSettings) {}

  get isOut(): boolean {
    return this.#out;
  }

  /**
   * What the call gives.
   *
   * @throws {StoreError} `STORE_UNAVAILABLE` when it is out or doesn't answer in time; what the call throws else.
   */
  async call<T>(operation: string, run: () => Promise<T>): Promise<T> {
    if (this.#out) throw new StoreError('STORE_UNAVAILABLE', 'The store is out of reach');
    let giveUp!: (error: StoreError) => void;
    const cutShort = new Promise<never>((_, reject) => (giveUp = reject));
    this.#waiting.add(giveUp);
    const { timeoutMs } = this.settings;
    const start = performance.now();
    const late = (): StoreError =>
      new StoreError('STORE_UNAVAILABLE', `The store did not answer in ${timeoutMs} ms`);
    try {
      const answer = await withTimeout(Promise.race([run(), cutShort]), timeoutMs, late);
      this.settings.answered(operation, performance.now() - start);
      return answer;
    } catch (error) {
      if (isOutage(error) && !this.#out) {
        this.settings.failed(operation, error);
        if (performance.now() - start >= SLOW_MS) this.#open(error);
        else void this.#suspect(error);
      }
      throw error;
    } finally {
      this.#waiting.delete(giveUp);
    }
  }

  close(): void {
    this.#closed = true;
    this.#rest();
  }

  #rest(): void {
    this.#stop?.();
    this.#stop = undefined;
  }

  #open(error: StoreError): void {
    // A probe may outlive the store that asked for it.
    if (this.#out || this.#closed) return;
    this.#out = true;
    this.settings.out();
    for (const giveUp of this.#waiting) giveUp(error);
    this.#stop = this.settings.clock.every(RETRY_MS, () => void this.#try());
  }

  async #suspect(error: StoreError): Promise<void> {
    if (this.#suspected) return;
    this.#suspected = true;
    const fine = await this.#probe();
    this.#suspected = false;
    if (!fine) this.#open(error);
  }

  async #try(): Promise<void> {
    if (this.#trying) return;
    this.#trying = true;
    try {
      if (await this.#probe()) {
        await this.settings.returns();
        this.#out = false;
        this.#rest();
        this.settings.returned();
      }
    } catch (error) {
      this.settings.failed('return', error);
    } finally {
      this.#trying = false;
    }
  }

  #probe(): Promise<boolean> {
    const { probe, timeoutMs } = this.settings;
    const late = (): StoreError => new StoreError('STORE_UNAVAILABLE', 'The probe was not answered in time');
    return withTimeout(probe(), timeoutMs, late).then(
      () => true,
      () => false,
    );
  }
}
