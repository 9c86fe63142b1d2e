import { fork } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import type { Redis } from 'ioredis';
import type { QuotaLimit, Terms } from '../../../lib/stores/store.js';
import { DAY, sweep } from '../../../lib/testing/contract/kept-jobs.js';
import { HOUR, MINUTE, rate, request, slots, termsOf, usedOf } from '../../../lib/testing/harness.js';
import type { QuotaNews, QuotaWorkerOptions } from '../../support/quota-worker.js';
import { RedisScenes } from '../../support/redis-scene.js';
import { describeWithRedis } from '../../support/with-redis.js';

const quota = (unit: string, limit: number, per: QuotaLimit['per']): QuotaLimit => ({
  kind: 'quota',
  name: unit,
  unit,
  per,
  limit,
  mode: 'enforce',
});

describeWithRedis('Quotas in RedisStore', () => {
  const scenes = new RedisScenes();
  const scene = scenes.scene.bind(scenes);
  let client: Redis;

  beforeAll(async () => {
    await scenes.start();
    ({ client } = scenes);
  });
  afterAll(() => scenes.stop());

  /** A scene whose server's date is that one. */
  function sceneAt(date: string, options: Parameters<typeof scene>[0] = {}) {
    const made = scene(options);
    made.time.offset = Date.parse(date) - Date.now();
    return { ...made, moveTo: (to: string) => void (made.time.offset = Date.parse(to) - Date.now()) };
  }

  const jobOf = (terms: Terms, seconds: number) => ({ ...request(terms), amounts: { seconds } });

  test.each([
    ['hour', '2027-12-31T23:59:59.000Z', '2028-01-01T00:00:00.500Z', HOUR],
    ['day', '2028-02-28T23:59:59.000Z', '2028-02-29T00:00:00.500Z', DAY],
    ['day', '2027-02-28T12:00:00.000Z', '2027-03-01T00:00:00.500Z', DAY],
    ['month', '2027-02-28T23:59:59.000Z', '2027-03-01T00:00:00.500Z', 31 * DAY],
    ['month', '2028-01-31T12:00:00.000Z', '2028-02-01T00:00:00.500Z', 29 * DAY],
    ['month', '2026-12-31T12:00:00.000Z', '2027-01-01T00:00:00.500Z', 31 * DAY],
    ['month', '2099-12-31T12:00:00.000Z', '2100-02-01T00:00:00.500Z', 28 * DAY],
  ] as const)('a new %s begins between %s and %s', async (per, before, after, length) => {
    const { store, moveTo } = sceneAt(before);
    const terms = termsOf(quota('seconds', 10, per));
    await store.admit(jobOf(terms, 10));
    const refused = await store.admit(jobOf(terms, 1));
    const nextMidnight = Date.parse(after.slice(0, 10));
    const wait = refused.allowed ? 0 : refused.retryAfterMs!;
    if (!before.startsWith('2099')) {
      expect(Math.abs(Date.parse(before) + wait - nextMidnight)).toBeLessThan(1_000);
    }
    moveTo(after);
    const { limits } = await store.admit(jobOf(terms, 3));
    expect(limits[0]!.used).toBe(3);
    expect(Math.abs(limits[0]!.resetAfterMs! - length)).toBeLessThan(2_000);
  });

  test('eight processes, three quotas: none is exceeded, and what is settled is right to the last unit', async () => {
    const at = '2030-01-15T12:00:00.000Z';
    const { store, time } = sceneAt(at, { prefix: 'job-limits' });
    const terms: Terms = {
      ...termsOf(
        slots(1_000),
        quota('jobs', 300, 'day'),
        quota('seconds', 8_000, 'month'),
        quota('bytes', 400_000, 'stored'),
      ),
      retention: { resultsMs: HOUR, metadataMs: HOUR },
    };
    const options: QuotaWorkerOptions = {
      port: scenes.server.port,
      customer: 'acme',
      terms,
      offsetMs: time.offset,
    };
    const news: QuotaNews[] = [];
    const workers = Array.from({ length: 8 }, () =>
      fork(join(__dirname, '../../support/quota-worker.ts'), [JSON.stringify(options)], {
        execArgv: ['--import', 'tsx'],
      }),
    );
    const exits = workers.map((worker) => new Promise((resolve) => worker.once('exit', resolve)));
    for (const worker of workers) worker.on('message', (one: QuotaNews) => void news.push(one));
    const over: object[] = [];
    let full = 0;
    // Until the processes have been at a limit for a while, however long it takes them to get there.
    while (full < 200) {
      const { limits } = await store.usage('acme', terms.limits);
      over.push(...limits.filter(({ used, limit }) => used > limit));
      if (limits.some(({ used, limit }) => used > 0.95 * limit)) full += 1;
      await sleep(5);
    }
    for (const worker of workers) worker.send('stop');
    await Promise.all(exits);
    expect(over).toEqual([]);
    expect(news.length).toBe(8);
    const sum = (of: (one: QuotaNews) => number): number => news.reduce((total, one) => total + of(one), 0);
    expect(sum(({ refused }) => refused)).toBeGreaterThan(0);
    expect(await usedOf(store, terms)).toEqual({
      concurrency: 0,
      jobs: sum(({ jobs }) => jobs),
      seconds: sum(({ used }) => used['seconds'] ?? 0),
      bytes: sum(({ used }) => used['bytes'] ?? 0),
    });
    time.offset += HOUR;
    await sweep(store);
    expect((await usedOf(store, terms))['bytes']).toBe(0);
  }, 60_000);

  test('the book lives as long as a sum may be asked for, and no longer', async () => {
    const { store, time, keys } = sceneAt('2030-01-15T12:00:00.000Z');
    const terms = termsOf(slots(3, { maxRunMs: HOUR }), quota('seconds', 100, 'month'));
    const job = jobOf(terms, 10);
    await store.admit(job);
    await store.finish(job.ref, { state: 'completed' });
    const book = (await keys()).find((key) => key.includes('}:c:'))!;
    const left = Date.parse('2030-02-02T01:00:00.000Z') - Date.now() - time.offset;
    const ttl = await client.pttl(book);
    expect(ttl).toBeGreaterThanOrEqual(left);
    expect(ttl).toBeLessThan(left + HOUR);
    time.offset += left;
    await store.admit(request(termsOf(rate(1, MINUTE))));
    time.offset += 2 * MINUTE;
    expect((await store.usage('acme', [])).running).toEqual([]);
    expect(await client.pttl(book)).toBeLessThan(HOUR);
  });

  test('what is stored is remembered as long as it is', async () => {
    const { store, keys } = scene();
    const terms = {
      ...termsOf(slots(3), quota('bytes', 100, 'stored')),
      retention: { resultsMs: DAY, metadataMs: 90 * DAY },
    };
    const job = { ...request(terms), amounts: { bytes: 70 } };
    await store.admit(job);
    await store.finish(job.ref, { state: 'completed' });
    const [book, records] = await Promise.all(
      ['c', 'k'].map(async (letter) =>
        client.pttl((await keys()).find((key) => key.includes(`}:${letter}:`))!),
      ),
    );
    expect(records!).toBeGreaterThan(119 * DAY);
    expect(book!).toBeGreaterThan(119 * DAY);
    await store.usage('acme', terms.limits);
    await store.job(job.ref);
    expect(await usedOf(store, terms)).toEqual({ concurrency: 0, bytes: 70 });
  });

  test('records that are dropped give back what they stored', async () => {
    const { store, time } = scene();
    const terms = {
      ...termsOf(slots(3), quota('bytes', 100, 'stored')),
      retention: { resultsMs: DAY, metadataMs: DAY },
    };
    const job = { ...request(terms), amounts: { bytes: 70 } };
    await store.admit(job);
    await store.finish(job.ref, { state: 'completed' });
    time.offset += 31 * DAY - MINUTE;
    expect(await usedOf(store, terms)).toEqual({ concurrency: 0, bytes: 70 });
    time.offset += MINUTE;
    const again = { ...job, run: 'another', amounts: { bytes: 60 } };
    expect(await store.admit(again)).toMatchObject({ allowed: true, replayed: false });
    expect(await usedOf(store, terms)).toEqual({ concurrency: 1, bytes: 60 });
  });

  test('a server clock that jumps back over midnight: settled where it was charged', async () => {
    const { store, moveTo } = sceneAt('2030-01-16T00:10:00.000Z');
    const terms = termsOf(slots(9), quota('seconds', 100, 'day'));
    const [first, second] = [jobOf(terms, 10), jobOf(terms, 20)];
    await store.admit(first);
    moveTo('2030-01-15T23:50:00.000Z');
    await store.admit(second);
    expect(await usedOf(store, terms)).toEqual({ concurrency: 2, seconds: 20 });
    await store.finish(first.ref, { state: 'completed', units: { seconds: 11 } });
    await store.refund(second.ref, second.run);
    expect((await usedOf(store, terms))['seconds']).toBe(0);
    moveTo('2030-01-16T00:20:00.000Z');
    expect((await usedOf(store, terms))['seconds']).toBe(11);
  });

  test('a refusal that is known is not repeated to one that asks for less', async () => {
    const { store } = scene({ refusalCache: true });
    const terms = termsOf(quota('seconds', 100, 'day'));
    const own = (id: string, seconds: number) => ({
      ref: { customer: 'acme', id },
      run: id,
      terms,
      amounts: { seconds },
    });
    await store.admit(own('a', 50));
    expect((await store.admit(own('b', 51))).allowed).toBe(false);
    expect((await store.admit(own('c', 51))).allowed).toBe(false);
    expect((await store.admit(own('d', 50))).allowed).toBe(true);
  });

  test('overrides of many customers are listed, whatever is in them, and go when they end', async () => {
    const { store, time, keys } = scene();
    const names = Array.from({ length: 200 }, (_, i) => `customer ${i}\n💥`);
    await Promise.all(
      names.map((name, i) =>
        store.setOverride(name, {
          limits: [{ ...slots(i), limit: i === 7 ? Infinity : i }],
          reason: `line\none; "quoted" ${i}`,
          others: { 'file-size': { maxFile: i } },
          ...(i % 2 === 0 && { expiresAt: Date.now() + HOUR }),
        }),
      ),
    );
    const all = await store.overrides();
    expect(all.map(({ customer }) => customer).sort()).toEqual([...names].sort());
    const seventh = all.find(({ customer }) => customer === names[7])!.override;
    expect(seventh).toMatchObject({
      limits: [{ limit: Infinity }],
      reason: 'line\none; "quoted" 7',
      others: { 'file-size': { maxFile: 7 } },
    });
    expect(await store.override(names[7]!)).toEqual(seventh);
    time.offset += HOUR;
    expect((await store.overrides()).length).toBe(100);
    for (const name of names) await store.setOverride(name, null);
    expect((await keys()).filter((key) => key.endsWith('overrides'))).toEqual([]);
  });
});
