import { Redis } from 'ioredis';
import { ManualClock } from '../../../lib/index.js';
import { RedisStore } from '../../../lib/stores/redis/redis-store.js';
import { lifecycleSuite } from '../../jobs/lifecycle-suite.js';
import { sweeperSuite } from '../../jobs/sweeper-suite.js';
import type { SweptStore } from '../../jobs/swept-store.js';
import { RedisServer } from '../../support/redis-server.js';
import { describeWithRedis } from '../../support/with-redis.js';

describeWithRedis('on RedisStore', () => {
  let server: RedisServer;
  let client: Redis;
  let made = 0;

  beforeAll(async () => {
    server = await RedisServer.start();
    client = new Redis(server.port);
  });

  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });

  /** The clock of the store stands in its scripts, and is moved with that of its sweepers. */
  function make(): SweptStore {
    let offset = 0;
    const clock = new ManualClock({ wallNow: Date.now() });
    const store = new RedisStore({
      client,
      prefix: `lifecycle-${(made += 1)}`,
      refusalCache: false,
      timeoutMs: 5_000,
      timeOffsetMs: () => offset,
    });
    const advance = (ms: number): void => {
      offset += ms;
      clock.advance(ms);
    };
    return { store, clock, advance, dispose: () => store.close() };
  }

  describe('jobLifecycle', () => lifecycleSuite(make));
  describe('a sweeper', () => sweeperSuite(make));
});
