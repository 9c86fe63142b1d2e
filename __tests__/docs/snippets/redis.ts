import type { Express, Request } from 'express';
import { Redis } from 'ioredis';
import type { Pool } from 'pg';
import { RateLimiterMemory, RateLimiterPostgres } from 'rate-limiter-flexible';
import { jobLifecycle, jobLimits, requestRate, type JobRef, type LimitStore } from 'express-job-limits';
import { FailoverStore } from '../../../lib/stores/failover/failover-store.js';
import { RedisStore } from '../../../lib/stores/redis/redis-store.js';

/** What docs/stores/redis.md shows first. */
export function onRedis(url: string) {
  // #region redis
  const client = new Redis(url);
  const store = new RedisStore({ client });
  const limits = jobLimits({
    store,
    customer: (req) => req.get('x-account'),
    plans: { free: { creationRate: { limit: 250, window: '1m' }, concurrency: { limit: 250 } } },
  });
  // #endregion
  return { client, store, limits };
}

export async function worker(store: LimitStore, ref: JobRef): Promise<void> {
  // #region worker
  const jobs = jobLifecycle({ store });
  await jobs.finish(ref, { state: 'completed' });
  // #endregion
}

export function withFailover(client: Redis) {
  // #region failover
  const store = new FailoverStore({
    store: new RedisStore({ client }),
    onStoreError: 'local',
    processes: 4,
  });
  // #endregion
  return store;
}

export function onPostgres(app: Express, pool: Pool, tableName: string, ready: (error?: Error) => void) {
  const customer = (req: Request) => req.get('x-account');
  // #region postgres
  const numbers = { keyPrefix: 'reads', points: 20_000, duration: 300 };
  const limiter = new RateLimiterPostgres(
    {
      ...numbers,
      storeClient: pool,
      tableName,
      // Counts in this process while PostgreSQL can't be asked.
      insuranceLimiter: new RateLimiterMemory(numbers),
    },
    ready,
  );
  app.use(requestRate({ customer, limiter }));
  // #endregion
  return limiter;
}

export async function ban(limiter: RateLimiterPostgres): Promise<void> {
  // #region ban
  await limiter.block('acme', 3_600); // for an hour
  await limiter.delete('acme'); // ends it
  // #endregion
}
