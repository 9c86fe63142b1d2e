import { checkNumber, optionError } from './option-error.js';
import { systemClock, systemSleep, type ClientClock, type Sleep } from './time.js';
import { TokenBucket, type TokenBucketOptions } from './token-bucket.js';

/** The platform's own fetch. */
export type Fetch = typeof globalThis.fetch;

/** What fetch takes, and as body also a function that makes it: a stream can be sent once only, so each try needs its own. */
export type RetryingInit = Omit<RequestInit, 'body'> & {
  body?: RequestInit['body'] | (() => RequestInit['body'] | Promise<RequestInit['body']>);
};

/** A fetch that waits and retries; goes wherever a `typeof fetch` goes. */
export type RetryingFetch = (input: Parameters<Fetch>[0], init?: RetryingInit) => Promise<Response>;

/** A wait is about to begin. */
export interface RetryEvent {
  /** 1 for the first retry of the call. */
  retry: number;
  /** How long it waits, jitter included, in milliseconds. An empty budget makes it longer. */
  waitMs: number;
  /** The server's code, where it refused. */
  code: string | undefined;
  /** The name of the limit that refused, where the server told it. */
  limit: string | undefined;
  /** The answer that is not enough; missing after a network error. */
  response: Response | undefined;
  /** The network error, where there was no answer. */
  error: unknown;
}

export interface RetryingOptions {
  /**
   * How long one call may take until its last try starts, in milliseconds, from its first try on. A wait that would end
   * later isn't begun. Tries in flight are not cut off: that is what a `signal` is for.
   * @default 120_000
   */
  maxElapsed?: number;
  /** How often one call is retried at most. @default Infinity: `maxElapsed` bounds it */
  maxRetries?: number;
  /** Added to a call's first wait: a random time from 0 up to so many milliseconds; up to twice as many to later ones. @default 1000 */
  jitter?: number;
  /** The tokens for retries, shared by all calls; an empty bucket delays retries. @default 10 at once, 1 more a second */
  budget?: TokenBucket | TokenBucketOptions;
  /**
   * Sends an `Idempotency-Key` with each call that isn't a GET, HEAD or OPTIONS, one for all its tries. Only for
   * servers that heed it: such calls are then retried after network errors and 5xx as well.
   * @default false
   */
  idempotency?: boolean;
  /** Spreads calls by the `RateLimit` header of the answers before. Calls wait for their turn before their first try. @default false */
  spacing?: boolean;
  /** Ends all calls, beside each call's own signal. */
  signal?: AbortSignal;
  /** Called before each wait. What it throws ends the call. */
  onRetry?: (event: RetryEvent) => void;
  /** For tests: the clock. @default performance.now and Date.now */
  clock?: ClientClock;
  /** For tests: the sleep that goes with the clock. @default setTimeout */
  sleep?: Sleep;
  /** For tests: at least 0 and below 1. @default Math.random */
  random?: () => number;
}

export type Settings = Required<Omit<RetryingOptions, 'signal' | 'budget' | 'onRetry'>> & {
  budget: TokenBucket;
  signal: AbortSignal | undefined;
  onRetry: RetryingOptions['onRetry'] | undefined;
};

/** @throws {TypeError} With code `CONFIG_UNKNOWN_OPTION` or `CONFIG_INVALID_OPTION`. */
export function settingsOf({ budget, signal, onRetry, ...given }: RetryingOptions): Settings {
  const defaults = {
    maxElapsed: 120_000,
    maxRetries: Infinity,
    jitter: 1000,
    idempotency: false,
    spacing: false,
    clock: systemClock,
    sleep: systemSleep,
    random: Math.random,
  };
  const settings: Record<string, unknown> = { ...defaults };
  for (const [name, value] of Object.entries(given)) {
    const option = `retrying.${name}`;
    const fallback: unknown = defaults[name as keyof typeof defaults];
    if (fallback === undefined) throw optionError(option, 'no such option', value, 'CONFIG_UNKNOWN_OPTION');
    if (value === undefined) continue;
    if (typeof fallback === 'number') checkNumber(option, value);
    else if (typeof value !== typeof fallback) throw optionError(option, `a ${typeof fallback}`, value);
    settings[name] = value;
  }
  return {
    ...(settings as typeof defaults),
    budget: budget instanceof TokenBucket ? budget : new TokenBucket(budget),
    signal,
    onRetry,
  };
}
