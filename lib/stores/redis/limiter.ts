import {
  RateLimiterMemory,
  RateLimiterRedis,
  type IRateLimiterRedisOptions,
  type RateLimiterAbstract,
} from 'rate-limiter-flexible';
import { StoreError } from '../../errors.js';
import type { LimiterOptions } from '../store.js';
import { withTimeout } from '../timeout.js';
import type { RedisConnection } from './connection.js';

/** The methods of `RateLimiterRedis` that ask Redis, which its types leave out. */
interface Asks {
  _upsert(...args: unknown[]): Promise<unknown>;
  _get(...args: unknown[]): Promise<unknown>;
  _delete(...args: unknown[]): Promise<unknown>;
}

const Base = RateLimiterRedis as unknown as new (
  options: IRateLimiterRedisOptions,
) => RateLimiterRedis & Asks;

/** For how long Redis is not asked after it did not answer in time. */
const REST_MS = 1_000;

/**
 * rate-limiter-flexible waits for Redis as long as the client does: this one asks its insurance after the timeout, and for
 * a second afterwards at once.
 */
class TimedLimiter extends Base {
  timeoutMs = 0;
  #restUntil = 0;

  override _upsert(...args: unknown[]): Promise<unknown> {
    return this.#timed(() => super._upsert(...args));
  }

  override _get(...args: unknown[]): Promise<unknown> {
    return this.#timed(() => super._get(...args));
  }

  override _delete(...args: unknown[]): Promise<unknown> {
    return this.#timed(() => super._delete(...args));
  }

  #timed(ask: () => Promise<unknown>): Promise<unknown> {
    if (performance.now() < this.#restUntil) return Promise.reject(this.#error());
    return withTimeout(ask(), this.timeoutMs, () => {
      this.#restUntil = performance.now() + REST_MS;
      return this.#error();
    });
  }

  #error(): StoreError {
    return new StoreError('STORE_UNAVAILABLE', `Redis did not answer in ${this.timeoutMs} ms`);
  }
}

/**
 * rate-limiter-flexible's limiter on this connection. While Redis can't be asked, its insurance counts in the memory of
 * this process alone.
 */
export function redisLimiter(
  { client, library }: RedisConnection,
  prefix: string,
  { keyPrefix, points, duration }: LimiterOptions,
  timeoutMs: number,
): RateLimiterAbstract {
  const limiter = new TimedLimiter({
    storeClient: client,
    useRedisPackage: library === 'node-redis',
    keyPrefix: `${prefix}:limiter:${keyPrefix}`,
    points,
    duration,
    insuranceLimiter: new RateLimiterMemory({ keyPrefix, points, duration }),
  });
  limiter.timeoutMs = timeoutMs;
  return limiter;
}
