import { Redis } from 'ioredis';
import { RedisStore } from '../../../lib/stores/redis/redis-store.js';
import { rate, slots, termsOf, usedOf } from '../../../lib/testing/harness.js';
import { RedisServer, until } from '../../support/redis-server.js';
import { runProcesses } from '../../support/store-processes.js';
import { describeWithRedis } from '../../support/with-redis.js';

const LIMIT = 250;

describeWithRedis('eight processes and one customer', () => {
  let server: RedisServer;
  beforeEach(async () => {
    server = await RedisServer.start();
  });
  afterEach(() => server.stop());

  test('never hold more leases than the limit, nor admit more in any window, with clocks an hour apart', async () => {
    const terms = termsOf(rate(LIMIT, 1_000), slots(LIMIT));
    const report = await runProcesses(server.port, terms, { ms: 10_000, runMs: 3_000, leaseMs: 3_600_000 });
    expect(report.failed).toBe(0);
    expect(report.refused).toBeGreaterThan(report.admitted);
    // The watchers' own count, so that what they watched is all there was.
    expect(report.logged).toBe(report.admitted);
    expect(report.mostInWindow).toBe(LIMIT);
    expect(report.mostRunning).toBeLessThanOrEqual(LIMIT);
    expect(report.mostLeases).toBe(LIMIT);
  }, 60_000);

  test('killed at random: limits hold, and what the dead held comes back', async () => {
    const heartbeatMs = 1_500;
    const terms = { ...termsOf(rate(LIMIT, 1_000), slots(LIMIT, { heartbeatMs })), pendingMs: heartbeatMs };
    const report = await runProcesses(server.port, terms, {
      ms: 10_000,
      killEveryMs: 700,
      abandoned: 0.1,
      leaseMs: heartbeatMs,
    });
    expect(report.killed).toBeGreaterThan(3);
    expect(report.mostInWindow).toBeLessThanOrEqual(LIMIT);
    // By the store's word alone: what a killed process had ended, and not yet told, would still count as running.
    expect(report.mostLeases).toBeLessThanOrEqual(LIMIT);
    expect(report.admitted).toBeGreaterThan(LIMIT);
    const client = new Redis(server.port);
    const store = new RedisStore({ client });
    const free = async () => (await usedOf(store, terms))['concurrency'] === 0;
    await until(free, 'every slot to come back', 3 * heartbeatMs);
    client.disconnect();
  }, 60_000);
});
