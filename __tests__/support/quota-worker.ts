// One of several processes that share a RedisStore: admits jobs of one customer with amounts until it is told to stop, and
// finishes them with what they used, never more than was reserved. Tells the sums at its end.
import { Redis } from 'ioredis';
import { randomId } from '../../lib/jobs/job-id.js';
import { RedisStore } from '../../lib/stores/redis/redis-store.js';
import type { Amounts, Terms } from '../../lib/stores/store.js';

export interface QuotaWorkerOptions {
  port: number;
  customer: string;
  terms: Terms;
  offsetMs: number;
}

/** What jobs that were admitted used at last, by unit. */
export interface QuotaNews {
  jobs: number;
  refused: number;
  used: Record<string, number>;
}

const { port, customer, terms, offsetMs } = JSON.parse(process.argv[2]!) as QuotaWorkerOptions;
const client = new Redis(port);
const store = new RedisStore({
  client,
  refusalCache: false,
  timeoutMs: 10_000,
  timeOffsetMs: () => offsetMs,
});
const news: QuotaNews = { jobs: 0, refused: 0, used: {} };
let stopped = false;

const some = (most: number): number => Math.floor(Math.random() * (most + 1));
const reserve = (): Amounts => ({ seconds: some(100), bytes: some(5_000) });

async function worker(): Promise<void> {
  while (!stopped) {
    const ref = { customer, id: randomId() };
    const amounts = reserve();
    const decision = await store.admit({ ref, run: ref.id, terms, amounts });
    if (!decision.allowed) {
      news.refused += 1;
      continue;
    }
    // Some are refunded, and have used nothing.
    if (Math.random() < 0.1) {
      await store.refund(ref, ref.id);
      continue;
    }
    const units = { seconds: some(amounts['seconds']!), bytes: some(amounts['bytes']!) };
    await store.finish(ref, { state: 'completed', units });
    news.jobs += 1;
    for (const [unit, amount] of Object.entries(units)) news.used[unit] = (news.used[unit] ?? 0) + amount;
  }
}

process.on('message', () => {
  stopped = true;
});
void Promise.all(Array.from({ length: 8 }, worker)).then(() => {
  process.send!(news);
  client.disconnect();
  process.disconnect();
});
