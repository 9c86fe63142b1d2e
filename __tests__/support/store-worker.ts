// One of several processes that share a RedisStore: admits jobs of one customer as fast as it can until it is told to stop.
import { Redis } from 'ioredis';
import { randomId } from '../../lib/jobs/job-id.js';
import { RedisStore } from '../../lib/stores/redis/redis-store.js';
import type { WorkerOptions, WorkerNews } from './store-processes.js';

const options = JSON.parse(process.argv[2]!) as WorkerOptions;

// The clocks of the processes need not agree.
const realNow = Date.now;
Date.now = () => realNow() + options.skewMs;
const sharedClock = (): number => performance.timeOrigin + performance.now();

const news: WorkerNews = { admitted: 0, refused: 0, failed: 0, held: [], ended: [] };
const client = new Redis(options.port);
const store = new RedisStore({ client, refusalCache: false, timeoutMs: 10_000 });
let stopped = false;

const tell = (): void => {
  if (!process.connected) process.exit();
  process.send!(news);
  Object.assign(news, { admitted: 0, refused: 0, failed: 0, held: [], ended: [] });
};

async function worker(): Promise<void> {
  while (!stopped) {
    const ref = { customer: options.customer, id: randomId() };
    try {
      const decision = await store.admit({ ref, run: ref.id, terms: options.terms });
      if (!decision.allowed) {
        news.refused += 1;
        continue;
      }
      news.admitted += 1;
      news.held.push([ref.id, sharedClock()]);
      // Some are left pending, as by a request that never ends.
      if (Math.random() < options.abandoned) continue;
      await store.commit(ref, ref.id);
      setTimeout(() => void end(ref), Math.random() * options.runMs);
    } catch {
      news.failed += 1;
    }
  }
}

async function end(ref: { customer: string; id: string }): Promise<void> {
  if (stopped) return;
  news.ended.push([ref.id, sharedClock()]);
  await store.finish(ref, { state: 'completed' }).catch(() => (news.failed += 1));
}

const timer = setInterval(tell, 50);
process.on('message', () => {
  stopped = true;
});
void Promise.all(Array.from({ length: options.inFlight }, worker)).then(() => {
  clearInterval(timer);
  tell();
  client.disconnect();
  process.disconnect();
});
