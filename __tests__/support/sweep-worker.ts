// One of several sweepers that share a RedisStore: deletes what is due until it is stopped or killed. What it was called for is
// counted in Redis, so that it is known also of those that were killed.
import { Redis } from 'ioredis';
import { systemClock } from '../../lib/clock.js';
import { startSweeper } from '../../lib/jobs/sweeper.js';
import { RedisStore } from '../../lib/stores/redis/redis-store.js';

export interface SweepWorkerOptions {
  port: number;
  offsetMs: number;
  /** One in so many callbacks fails. */
  failsOneIn: number;
  batch?: number;
  /** @default 1000 */
  leaseMs?: number;
}

const {
  port,
  offsetMs,
  failsOneIn,
  batch = 50,
  leaseMs = 1_000,
} = JSON.parse(process.argv[2]!) as SweepWorkerOptions;
const client = new Redis(port);
const store = new RedisStore({ client, timeOffsetMs: () => offsetMs, timeoutMs: 10_000 });

const callback =
  (what: string) =>
  async ({ ref }: { ref: { customer: string; id: string } }): Promise<void> => {
    await client.hincrby(`calls:${what}`, `${ref.customer}/${ref.id}`, 1);
    if (Math.random() < 1 / failsOneIn) throw new Error('the storage is away');
    await client.sadd(`deleted:${what}`, `${ref.customer}/${ref.id}`);
  };

const sweeper = startSweeper(
  store,
  {
    onExpire: callback('results'),
    onMetadataExpire: callback('metadata'),
    everyMs: 50,
    leaseMs,
    batch,
  },
  () => undefined,
  systemClock,
);
process.on('message', () => {
  void sweeper.stop().then(() => {
    client.disconnect();
    process.disconnect();
  });
});
process.on('disconnect', () => process.exit());
