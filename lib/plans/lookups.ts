import type { Clock } from '../clock.js';

interface LookupOptions<T> {
  find: (key: string) => T | Promise<T>;
  clock: Clock;
  /** How long a value counts before it is looked up again. */
  freshMs: number;
  /** How long it goes on after that while looking it up fails. @default 0: the failure is passed on */
  staleMs?: number;
  /** Told of a failure when the last known value goes on. */
  onStale?: (key: string, error: unknown) => void;
}

interface Known<T> {
  value: T;
  freshUntil: number;
  /** Until when it counts although looking it up again failed. */
  knownUntil: number;
}

/** How often a lookup that fails is tried again while the last known value goes on. */
const RETRY_MS = 5_000;
/** Values that are kept; the one looked up longest ago makes room. */
const MOST_KNOWN = 10_000;

/** What has to be asked for elsewhere, kept for a while: by one call at a time for each key, and bounded. */
export class Lookups<T> {
  readonly #known = new Map<string, Known<T>>();
  readonly #pending = new Map<string, Promise<T>>();

  constructor(private readonly options: LookupOptions<T>) {}

  /** The value, or a promise where it has to be looked up. A failure is not kept. */
  get(key: string): T | Promise<T> {
    const known = this.#known.get(key);
    if (known !== undefined && known.freshUntil > this.options.clock.now()) return known.value;
    let pending = this.#pending.get(key);
    if (pending === undefined) {
      pending = this.#lookUp(key).finally(() => this.#pending.delete(key));
      this.#pending.set(key, pending);
    }
    return pending;
  }

  /** All are looked up anew; while that fails, the last known ones go on. */
  expire(): void {
    for (const known of this.#known.values()) known.freshUntil = -Infinity;
  }

  /** @param key @default all */
  forget(key?: string): void {
    if (key === undefined) this.#known.clear();
    else this.#known.delete(key);
  }

  async #lookUp(key: string): Promise<T> {
    const { find, clock, freshMs, staleMs = 0, onStale } = this.options;
    try {
      const value = await find(key);
      this.#known.delete(key);
      if (this.#known.size >= MOST_KNOWN) this.#known.delete(this.#known.keys().next().value as string);
      const freshUntil = clock.now() + freshMs;
      this.#known.set(key, { value, freshUntil, knownUntil: freshUntil + staleMs });
      return value;
    } catch (error) {
      const known = this.#known.get(key);
      const now = clock.now();
      if (known === undefined || known.knownUntil <= now) throw error;
      known.freshUntil = now + RETRY_MS;
      onStale?.(key, error);
      return known.value;
    }
  }
}
