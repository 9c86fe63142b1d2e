import type { Redis } from 'ioredis';
import { RedisStore } from '../../../lib/stores/redis/redis-store.js';
import * as scripts from '../../../lib/stores/redis/scripts.js';
import type { LimitStore, Terms } from '../../../lib/stores/store.js';
import { claimAll, DAY, finished, keptTerms, sweep } from '../../../lib/testing/contract/kept-jobs.js';
import { HOUR, MINUTE, request, SECOND, slots, termsOf } from '../../../lib/testing/harness.js';
import { RedisScenes } from '../../support/redis-scene.js';
import { describeWithRedis } from '../../support/with-redis.js';

const MONTH = 30 * DAY;
const YEAR = 365 * DAY;

describeWithRedis('What RedisStore keeps of jobs', () => {
  const scenes = new RedisScenes();
  const scene = scenes.scene.bind(scenes);
  let client: Redis;

  beforeAll(async () => {
    await scenes.start();
    ({ client } = scenes);
  });
  afterAll(() => scenes.stop());

  const keyOf = async (keys: () => Promise<string[]>, letter: string): Promise<string> =>
    (await keys()).find((key) => key.includes(`}:${letter}`)) ?? 'none';

  const finishMany = async (store: LimitStore, times: number, terms: Terms): Promise<void> => {
    await Promise.all(Array.from({ length: times }, () => finished(store, terms)));
  };

  test('jobs whose time is over are forgotten by those that come after them', async () => {
    const { store, time, keys } = scene();
    const brief = { ...termsOf(slots(1_000)), rememberMs: MINUTE };
    for (let round = 0; round < 20; round += 1) {
      await finishMany(store, 50, brief);
      time.offset += MINUTE;
    }
    await finishMany(store, 10, brief);
    expect(await client.hlen(await keyOf(keys, 'k'))).toBeLessThanOrEqual(60);
    expect(await client.zcard(await keyOf(keys, 'x'))).toBeLessThanOrEqual(60);
  });

  test('records that nobody sweeps are dropped a month after their last time, and that is told', async () => {
    const { store, time, keys, events } = scene();
    const terms = keptTerms();
    await finishMany(store, 300, terms);
    time.offset += DAY + MONTH - MINUTE;
    expect(await client.hlen(await keyOf(keys, 'k'))).toBe(300);
    time.offset += MINUTE;
    for (let i = 0; i < 40; i += 1) await finishMany(store, 25, terms);
    const dropped = events.flatMap((event) => (event.type === 'records-dropped' ? [event.count] : []));
    expect(dropped.reduce((a, b) => a + b, 0)).toBeGreaterThan(150);
    expect(await client.hlen(await keyOf(keys, 'k'))).toBe(1_300 - dropped.reduce((a, b) => a + b, 0));
  });

  test('a job that was given up is dropped in the end', async () => {
    const { store, time } = scene();
    const ref = await finished(store);
    time.offset += HOUR;
    const [claim] = await claimAll(store);
    await store.postpone(claim!, null);
    time.offset += DAY - HOUR + MONTH - MINUTE;
    expect((await store.job(ref))?.expired).toBe('metadata');
    time.offset += MINUTE;
    expect(await store.job(ref)).toBeUndefined();
  });

  test('the keys live until the last record is dropped, and no longer', async () => {
    const { store, keys } = scene();
    await finished(store, keptTerms({ resultsMs: DAY, metadataMs: 90 * DAY }));
    await finished(store, keptTerms({ resultsMs: HOUR, metadataMs: HOUR }));
    for (const letter of ['k', 'x']) {
      const ttl = await client.pttl(await keyOf(keys, letter));
      expect(ttl).toBeGreaterThanOrEqual(119 * DAY);
      expect(ttl).toBeLessThan(130 * DAY);
    }
    expect(await client.pttl(await keyOf(keys, 'due'))).toBeGreaterThan(MONTH);
    await Promise.all((await keys()).map(async (key) => expect(await client.pttl(key)).toBeGreaterThan(0)));
  });

  test('a customer whose jobs were all deleted leaves nothing but its book', async () => {
    const { store, time, keys } = scene();
    await finished(store);
    time.offset += 2 * DAY;
    await sweep(store);
    expect((await keys()).map((key) => key.split('}:')[1])).toEqual(['c:acme']);
    expect(await client.pttl(await keyOf(keys, 'c'))).toBeLessThan(HOUR);
  });

  test('a customer of which no sweeper has to know is not in the index', async () => {
    const { store, keys } = scene();
    const job = request(termsOf(slots(3)));
    await store.admit(job);
    await store.commit(job.ref, job.run);
    expect(await client.zcard(await keyOf(keys, 'due'))).toBe(1);
    await store.finish(job.ref, { state: 'completed' });
    expect(await keyOf(keys, 'due')).toBe('none');
  });

  test('what a pin holds lives on for ever, also what a job that runs is known by; without pins it ends again', async () => {
    const { store, time, keys } = scene();
    const kept = await finished(store);
    const running = request(keptTerms());
    await store.admit(running);
    await store.commit(running.ref, running.run);
    await store.pin(kept, 'case 7');
    await store.pin(running.ref, 'case 8');
    await finished(store, keptTerms({ resultsMs: DAY, metadataMs: 2 * YEAR }));
    const shortest = async (): Promise<number> =>
      Math.min(
        ...(await Promise.all(['c', 'k', 'x'].map(async (letter) => client.pttl(await keyOf(keys, letter))))),
      );
    expect(await shortest()).toBeGreaterThan(50 * YEAR);
    time.offset += YEAR;
    expect((await store.job(kept))?.pinned).toBe('case 7');
    await store.unpin(kept);
    expect(await shortest()).toBeGreaterThan(50 * YEAR);
    await store.finish(running.ref, { state: 'overrun' });
    expect((await store.job(running.ref))?.expired).toBeUndefined();
    await store.unpin(running.ref);
    expect(await client.pttl(await keyOf(keys, 'k'))).toBeLessThan(3 * YEAR);
    expect(await client.pttl(await keyOf(keys, 'k'))).toBeGreaterThan(YEAR);
    expect(await client.pttl(await keyOf(keys, 'c'))).toBeLessThan(HOUR);
  });

  test('a pin of a job that is undone holds nothing', async () => {
    const { store, keys, time } = scene();
    const [refunded, lapsed] = [request(keptTerms()), request(keptTerms())];
    for (const { ref } of [refunded, lapsed]) {
      await store.admit(ref === refunded.ref ? refunded : lapsed);
      expect(await store.pin(ref, 'too early')).toBe('pinned');
    }
    await store.refund(refunded.ref, refunded.run);
    time.offset += 2 * MINUTE;
    expect((await store.job(lapsed.ref))?.state).toBe('lapsed');
    expect(await client.pttl(await keyOf(keys, 'k'))).toBeLessThan(2 * HOUR);
    expect(await client.pttl(await keyOf(keys, 'c'))).toBeLessThan(HOUR);
  });

  test('a lost book, or a lost index, forgets no deletion', async () => {
    const { store, time, keys } = scene();
    const first = await finished(store, keptTerms({ resultsMs: 2 * HOUR }));
    await client.del(await keyOf(keys, 'c'));
    const second = await finished(store, keptTerms({ resultsMs: HOUR }));
    time.offset += HOUR;
    expect((await claimAll(store)).map(({ job }) => job.ref)).toEqual([second]);
    await client.del(await keyOf(keys, 'c'), await keyOf(keys, 'due'));
    await finished(store, keptTerms({ resultsMs: 5 * HOUR }));
    time.offset += 5 * HOUR;
    expect((await claimAll(store)).map(({ job }) => job.ref)).toContainEqual(first);
  });

  test('a customer that a sweeper took and then died comes up again', async () => {
    const { store, time, prefix } = scene();
    const dying = new RedisStore({
      client: {
        eval: client.eval.bind(client),
        // It dies between the two scripts of a claim.
        evalsha: async (sha: string, keyCount: number, ...rest: string[]) =>
          sha === scripts.claim.sha ? new Promise(() => undefined) : client.evalsha(sha, keyCount, ...rest),
      },
      prefix,
      timeOffsetMs: () => time.offset,
      timeoutMs: 100,
    });
    const ref = await finished(store);
    time.offset += HOUR;
    await expect(claimAll(dying)).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(await claimAll(store)).toEqual([]);
    time.offset += MINUTE;
    expect((await claimAll(store)).map(({ job }) => job.ref)).toEqual([ref]);
  });

  test('a job that expires sooner than those before it is found in time', async () => {
    const { store, time } = scene();
    await finished(store, keptTerms({ resultsMs: 5 * HOUR }));
    await finished(store, keptTerms({ resultsMs: 3 * HOUR }));
    const soon = await finished(store, keptTerms({ resultsMs: MINUTE }));
    time.offset += MINUTE;
    expect((await claimAll(store)).map(({ job }) => job.ref)).toEqual([soon]);
    const sooner = await finished(store, keptTerms({ resultsMs: SECOND }));
    time.offset += SECOND;
    expect((await claimAll(store)).map(({ job }) => job.ref)).toEqual([sooner]);
  });

  test('claims no more than asked for, and of many customers some each', async () => {
    const { store, time } = scene({ shards: 1 });
    for (let i = 0; i < 60; i += 1) {
      for (let j = 0; j < 5; j += 1) await finished(store, keptTerms(), { state: 'completed' }, `c${i}`);
    }
    await finishMany(store, 250, keptTerms());
    time.offset += HOUR;
    const sizes: number[] = [];
    const ids = new Set<string>();
    for (;;) {
      const claims = await store.claim({ shard: 0, limit: 120, leaseMs: MINUTE });
      if (claims.length === 0) break;
      sizes.push(claims.length);
      for (const { id } of claims) ids.add(id);
    }
    expect(ids.size).toBe(550);
    expect(sizes).toEqual([120, 120, 120, 120, 70]);
  });

  test('names of customers and jobs of any content have claims of their own, none too long', async () => {
    const { store, time } = scene();
    const odd = ['a', 'a:a', '5:a:a', '\n', '💥'.repeat(128), '{x}', "'); DROP"];
    for (const customer of odd) {
      for (const id of odd) {
        const job = request(keptTerms(), customer, id);
        await store.admit(job);
        await store.finish(job.ref, { state: 'completed' });
      }
    }
    time.offset += HOUR;
    const claims = await claimAll(store);
    expect(new Set(claims.map(({ id }) => id)).size).toBe(odd.length ** 2);
    expect(new Set(claims.map(({ job: { ref } }) => JSON.stringify(ref))).size).toBe(odd.length ** 2);
    for (const { id } of claims) expect(Buffer.byteLength(id)).toBeLessThanOrEqual(1_200);
    expect(await store.confirm(claims)).toBe(odd.length ** 2);
  });

  test('that nobody sweeps is told by whoever finishes a job, at most once an hour', async () => {
    const { store, time, events } = scene({ shards: 1 });
    const told = (): number => events.filter(({ type }) => type === 'unswept').length;
    const { finishedAt } = (await store.job(await finished(store)))!;
    time.offset += DAY;
    await finished(store);
    expect(told()).toBe(0);
    time.offset += 2 * HOUR;
    await finished(store, keptTerms(), { state: 'completed' }, 'globex');
    await finished(store);
    time.offset += 2 * MINUTE;
    await finished(store);
    expect(events.filter(({ type }) => type === 'unswept')).toEqual([
      { type: 'unswept', since: finishedAt! + HOUR },
    ]);
    time.offset += HOUR;
    await finished(store);
    expect(told()).toBe(2);
    for (let i = 0; i < 3; i += 1) await sweep(store);
    time.offset += HOUR - MINUTE;
    await finished(store);
    expect(told()).toBe(2);
  });

  test('an index that is early is no reason to tell that nobody sweeps, and is put right', async () => {
    const { store, time, events, keys } = scene({ shards: 1 });
    const running = request(keptTerms(), 'globex');
    await store.admit(running);
    await store.commit(running.ref, running.run);
    await finished(
      store,
      keptTerms({ resultsMs: 40 * DAY, metadataMs: 40 * DAY }),
      { state: 'completed' },
      'globex',
    );
    await store.finish(running.ref, {
      state: 'completed',
      retention: { resultsMs: 40 * DAY, metadataMs: 40 * DAY },
    });
    time.offset += 3 * DAY;
    await finished(store);
    expect(events).toEqual([]);
    const score = Number(await client.zscore(await keyOf(keys, 'due'), 'globex'));
    expect(score - Date.now() - time.offset).toBeGreaterThan(36 * DAY);
  });

  test('out of memory, Redis admits nothing more, but what runs can end and what has expired can go', async () => {
    const { store, time } = scene();
    const terms = keptTerms();
    const kept = await finished(store, terms);
    const running = request(terms);
    const refunded = request(terms);
    await store.admit(running);
    await store.commit(running.ref, running.run);
    await store.admit(refunded);
    time.offset += HOUR;
    await client.config('SET', 'maxmemory', '1');
    try {
      await expect(store.admit(request(terms))).rejects.toMatchObject({ code: 'STORE_FULL' });
      expect(await store.finish(running.ref, { state: 'completed' })).toBe('finished');
      expect(await store.refund(refunded.ref, refunded.run)).toBe('nothing');
      const claims = await claimAll(store);
      expect(claims.map(({ due }) => due)).toEqual(['results']);
      expect(await store.confirm(claims)).toBe(1);
      time.offset += 2 * DAY;
      await sweep(store);
      expect(await store.job(kept)).toBeUndefined();
    } finally {
      await client.config('SET', 'maxmemory', '0');
    }
  });
});
