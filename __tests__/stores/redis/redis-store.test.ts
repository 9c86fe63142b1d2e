import { readdirSync, readFileSync } from 'node:fs';
import { execFileSync } from 'node:child_process';
import { join } from 'node:path';
import { Redis } from 'ioredis';
import { createClient } from 'redis';
import { crc16, HASH_SLOTS, Keys } from '../../../lib/stores/redis/keys.js';
import { RedisStore } from '../../../lib/stores/redis/redis-store.js';
import * as scripts from '../../../lib/stores/redis/scripts.js';
import type { Claim, StoreEvent } from '../../../lib/stores/store.js';
import {
  admitMany,
  allowedOf,
  HOUR,
  MINUTE,
  rate,
  request,
  SECOND,
  slots,
  termsOf,
  usedOf,
} from '../../../lib/testing/harness.js';
import { RedisServer, until } from '../../support/redis-server.js';
import { RedisScenes } from '../../support/redis-scene.js';
import { describeWithRedis } from '../../support/with-redis.js';

const root = join(__dirname, '../../..');
const luaFolder = join(root, 'lib/stores/redis/lua');

describe('the scripts', () => {
  test('are embedded as they are', () => {
    execFileSync(process.execPath, [join(root, 'scripts/embed-lua.js'), '--check']);
  });

  test.each(readdirSync(luaFolder).filter((name) => name.endsWith('.lua')))(
    '%s says what it takes',
    (name) => {
      const source = readFileSync(join(luaFolder, name), 'utf8');
      const header = source
        .split('\n')
        .filter((line) => line.startsWith('--'))
        .join('\n');
      const script = Object.values(scripts).find((one) => `${one.name}.lua` === name)!;
      for (const list of ['KEYS', 'ARGV']) {
        const named = (text: string): string[] =>
          [
            ...new Set([...text.matchAll(new RegExp(`${list}\\[(\\d+)\\]`, 'g'))].map((match) => match[1]!)),
          ].sort();
        const documented = [...header.matchAll(new RegExp(`^-- ${list}\\[(\\d+)\\](  and on)?`, 'gm'))];
        const open = documented.find((match) => match[2] !== undefined);
        const fixed = documented.filter((match) => match[2] === undefined).map((match) => match[1]!);
        const used = named(script.source).filter(
          (index) => open === undefined || Number(index) < Number(open[1]),
        );
        expect({ name, list, used: fixed.sort() }).toEqual({ name, list, used });
        const loops = new RegExp(`${list}\\[[a-zA-Z]`).test(script.source);
        expect({ name, list, loops }).toEqual({ name, list, loops: open !== undefined });
      }
      expect(header).toMatch(/^-- Answer {3}/m);
    },
  );

  test('touch no keys but those they are given', () => {
    const commands = /call\('(?!TIME)[A-Z]+',\s*([\w.[\]]+)/g;
    const given =
      /^(KEYS\[\w+\]|KEYS\[nextKey( \+ 1)?\]|customerKey|(records|schedule|due)Key|key|refundKey)$/;
    for (const { source } of Object.values(scripts)) {
      for (const [, key] of source.matchAll(commands)) expect(key).toMatch(given);
    }
  });
});

describeWithRedis('RedisStore', () => {
  const scenes = new RedisScenes();
  const scene = scenes.scene.bind(scenes);
  let client: Redis;
  let server: RedisServer;

  beforeAll(async () => {
    await scenes.start();
    ({ client, server } = scenes);
  });
  afterAll(() => scenes.stop());

  /** The client, and how many commands it was told to send. */
  function counted() {
    const count = { commands: 0 };
    const one =
      (name: 'evalsha' | 'eval') =>
      (script: string, keyCount: number, ...rest: string[]) => {
        count.commands += 1;
        return client[name](script, keyCount, ...rest);
      };
    return { count, client: { evalsha: one('evalsha'), eval: one('eval') } };
  }

  const terms = termsOf(rate(9, MINUTE), slots(9));

  const claimOf = ({ ref }: ReturnType<typeof request>): Claim => ({
    job: { ref, state: 'completed', admittedAt: 1, finishedAt: 2, resultsExpireAt: 3, metadataExpireAt: 4 },
    due: 'results',
    id: 'x',
    tries: 1,
  });

  const operations: [string, (store: RedisStore, job: ReturnType<typeof request>) => Promise<unknown>][] = [
    ['admit', (store) => store.admit(request(terms))],
    ['admit again', (store, job) => store.admit(job)],
    ['commit', (store, job) => store.commit(job.ref, job.run)],
    ['renew', (store, job) => store.renew(job.ref)],
    ['usage', (store) => store.usage('acme', terms.limits)],
    ['job', (store, job) => store.job(job.ref)],
    ['refund', (store, job) => store.refund(job.ref, job.run)],
    ['finish', (store, job) => store.finish(job.ref, { state: 'completed' })],
    ['reconcile', (store) => store.reconcile('acme', ['x', 'y'], terms, 0)],
    ['setOverride', (store) => store.setOverride('acme', { limits: [rate(1, MINUTE)] })],
    ['override', (store) => store.override('acme')],
    ['pin', (store, job) => store.pin(job.ref, 'why')],
    ['unpin', (store, job) => store.unpin(job.ref)],
    ['extend', (store, job) => store.extend(job.ref, 9e12)],
    ['expireNow', (store, job) => store.expireNow(job.ref)],
    ['claim, where nothing is due,', (store) => store.claim({ shard: 0, limit: 9, leaseMs: 1 })],
    ['postpone', (store, job) => store.postpone(claimOf(job), 1)],
    ['confirm', (store, job) => store.confirm([claimOf(job)])],
  ];

  test.each(operations)('%s is one command', async (_name, operate) => {
    const { count, client: counting } = counted();
    const { store } = scene({ client: counting });
    const job = request(terms);
    await store.admit(job);
    await operate(store, job);
    count.commands = 0;
    await operate(store, job);
    expect(count.commands).toBe(1);
  });

  test.each(operations)('%s works on a server that forgot all scripts', async (_name, operate) => {
    const { store } = scene();
    const job = request(terms);
    await store.admit(job);
    await client.script('FLUSH');
    await operate(store, job);
  });

  test('a customer that hammers at its limit costs one command a second', async () => {
    const { count, client: counting } = counted();
    const { store } = scene({ client: counting, refusalCache: true });
    const one = termsOf(rate(1, HOUR));
    const ask = () => {
      const job = request(one);
      return store.admit({ ...job, run: job.ref.id });
    };
    await ask();
    const first = await ask();
    count.commands = 0;
    const start = performance.now();
    let asked = 0;
    while (performance.now() - start < 2_500) {
      const decisions = await Promise.all(Array.from({ length: 50 }, ask));
      asked += decisions.filter(({ allowed }) => !allowed).length;
      await new Promise(setImmediate);
    }
    expect(asked).toBeGreaterThan(1_000);
    expect(count.commands).toBeLessThanOrEqual(3);
    const last = await ask();
    expect(!first.allowed && !last.allowed && first.retryAfterMs! - last.retryAfterMs! > 2_000).toBe(true);
  });

  test('what is known of a refusal is dropped where this process makes room, and never used for chosen ids', async () => {
    const { store } = scene({ refusalCache: true });
    const one = termsOf(slots(1));
    const own = (id: string) => ({ ref: { customer: 'acme', id }, run: id, terms: one });
    await store.admit(own('a'));
    expect((await store.admit(own('b'))).allowed).toBe(false);
    expect(await store.admit(request(one, 'acme', 'a', 'a'))).toMatchObject({ allowed: false });
    expect(await store.admit(request(one, 'acme', 'a', 'another'))).toMatchObject({ replayed: true });
    await store.finish({ customer: 'acme', id: 'a' }, { state: 'completed' });
    expect((await store.admit(own('c'))).allowed).toBe(true);
    expect((await store.admit(own('d'))).allowed).toBe(false);
    await store.setOverride('acme', { limits: [slots(2)] });
    expect((await store.admit(own('e'))).allowed).toBe(true);
  });

  test('every key expires, but overrides and the layout', async () => {
    const { store, keys, prefix } = scene();
    const jobs = [0, 1, 2, 3, 4].map(() => request(terms));
    for (const job of jobs) await store.admit(job);
    await store.commit(jobs[0]!.ref);
    await store.finish(jobs[1]!.ref, { state: 'completed' });
    await store.refund(jobs[2]!.ref, jobs[2]!.run);
    await store.finish({ customer: 'acme', id: 'unseen' }, { state: 'completed' });
    await store.usage('acme', terms.limits);
    await store.setOverride('globex', { limits: [slots(1)] });
    for (const key of await keys()) {
      const ttl = await client.pttl(key);
      expect([key, ttl > 0]).toEqual([key, !key.endsWith('}:overrides')]);
    }
    expect(await client.pttl(`{${prefix}}:layout`)).toBe(-1);
  });

  test('a customer that has gone idle leaves nothing', async () => {
    const { store, keys } = scene();
    const brief = { ...termsOf(rate(9, SECOND), slots(9)), rememberMs: SECOND };
    for (let i = 0; i < 3; i += 1) {
      const job = request(brief);
      await store.admit(job);
      await store.finish(job.ref, { state: 'completed' });
    }
    const longest = Math.max(...(await Promise.all((await keys()).map((key) => client.pttl(key)))));
    expect(longest).toBeLessThanOrEqual(20 * MINUTE);
    await until(async () => (await keys()).every((key) => key.includes('}:c:')), 'the rest to expire');
  });

  test('a server clock that jumps back neither stretches nor shortens windows and leases', async () => {
    const { store, time } = scene();
    const strict = termsOf(rate(3, MINUTE), slots(9));
    await admitMany(store, strict, 3);
    time.offset -= HOUR;
    expect(allowedOf(await admitMany(store, strict, 1))).toBe(0);
    time.offset += 59 * SECOND;
    expect(allowedOf(await admitMany(store, strict, 1))).toBe(0);
    time.offset += 2 * SECOND;
    expect(await usedOf(store, strict)).toEqual({ 'creation-rate': 0, concurrency: 0 });
    expect(allowedOf(await admitMany(store, strict, 5))).toBe(3);
    const job = request(strict, 'globex');
    const before = Date.now() + time.offset;
    await store.admit(job);
    expect(Math.abs((await store.job(job.ref))!.admittedAt - before)).toBeLessThan(10 * SECOND);
  });

  test('tells of pending jobs that lapsed, whoever finds out', async () => {
    const { store, time } = scene();
    const events: StoreEvent[] = [];
    store.subscribe((event) => events.push(event));
    const job = request(terms);
    await store.admit(job);
    time.offset += MINUTE;
    await store.admit(request(terms));
    expect(events).toEqual([{ type: 'lapsed', ref: job.ref }]);
  });

  test('more leases than one script frees are all freed, and none is given away twice', async () => {
    const { store, time } = scene();
    const wide = termsOf(slots(250));
    await Promise.all(Array.from({ length: 250 }, () => store.admit(request(wide))));
    time.offset += MINUTE;
    // Each script frees a hundred; the others are counted until the next one.
    expect(await usedOf(store, wide)).toEqual({ concurrency: 150 });
    expect(await usedOf(store, wide)).toEqual({ concurrency: 50 });
    expect(await usedOf(store, wide)).toEqual({ concurrency: 0 });
  });

  test('a job finished before it was told of is not adopted', async () => {
    const { store } = scene();
    const job = request(terms);
    expect(await store.finish(job.ref, { state: 'failed' })).toBe('unknown');
    expect(await store.job(job.ref)).toBeUndefined();
    expect(await store.admit({ ...job, adopt: true })).toMatchObject({
      allowed: true,
      replayed: true,
      job: { state: 'failed' },
    });
    expect(await usedOf(store, terms)).toEqual({ 'creation-rate': 0, concurrency: 0 });
    expect(await store.commit(job.ref, job.run)).toBe('unknown');
    expect(await store.admit(job)).toMatchObject({ allowed: true, replayed: false });
    expect((await store.job(job.ref))?.state).toBe('pending');
  });

  test('terms that nobody refers to any more are forgotten, those of jobs are not', async () => {
    const { store, keys } = scene();
    const first = request(termsOf(rate(500, MINUTE), slots(500, { maxRunMs: 7 * HOUR })));
    await store.admit(first);
    for (let i = 0; i < 100; i += 1) {
      const job = request(termsOf(slots(500, { maxRunMs: HOUR + i })));
      await store.admit(job);
      await store.finish(job.ref, { state: 'completed' });
    }
    const [book] = (await keys()).filter((key) => key.includes('}:c:'));
    const stored = (await client.hkeys(book!)).filter((field) => field.startsWith('t'));
    expect(stored.length).toBeLessThan(40);
    expect(await store.refund(first.ref, first.run)).toBe('refunded');
    expect(await usedOf(store, first.terms)).toEqual({ 'creation-rate': 0, concurrency: 0 });
  });

  test('another layout under the same prefix is told, not mixed', async () => {
    const { prefix, store } = scene();
    await store.usage('acme', []);
    const other = new RedisStore({ client, prefix, shards: 32 });
    await expect(other.usage('acme', [])).rejects.toMatchObject({ code: 'STORE_LAYOUT_MISMATCH' });
    await expect(other.usage('acme', [])).rejects.toMatchObject({ code: 'STORE_LAYOUT_MISMATCH' });
  });

  test('clear() leaves the keys of other prefixes alone, odd ones too', async () => {
    const odd = scene({ prefix: 'a[b]*' });
    const plain = scene({ prefix: 'a[b]*c' });
    const similar = scene({ prefix: 'abx' });
    for (const { store } of [odd, plain, similar]) await store.admit(request(terms));
    await odd.store.clear();
    expect(await usedOf(odd.store, terms)).toMatchObject({ concurrency: 0 });
    expect(await usedOf(plain.store, terms)).toMatchObject({ concurrency: 1 });
    expect(await usedOf(similar.store, terms)).toMatchObject({ concurrency: 1 });
  });

  test('hashes to the slots that Redis does', async () => {
    // The specification's example, and what CLUSTER KEYSLOT says of two keys.
    expect(crc16('123456789')).toBe(0x31c3);
    expect([crc16('foo') % HASH_SLOTS, crc16('bar') % HASH_SLOTS]).toEqual([12_182, 5_061]);
    const keys = new Keys('p', 64);
    const used = new Set(Array.from({ length: 2_000 }, (_, i) => keys.slotOf(`customer-${i}`)));
    expect(used.size).toBe(64);
  });

  test('says what is wrong with a client', () => {
    expect(() => new RedisStore({} as never)).toThrow(/RedisStore\.client/);
    expect(() => new RedisStore({ client: {} as never })).toThrow(/ioredis/);
    const prefixed = new Redis(server.port, { keyPrefix: 'x:', lazyConnect: true });
    expect(() => new RedisStore({ client: prefixed })).toThrow(/keyPrefix/);
  });

  test('a script that fails is an error of the store, with its cause', async () => {
    const { store, prefix } = scene();
    await store.usage('acme', []);
    const [{ store: other }] = [scene()];
    await client.set(new Keys(prefix, 64).ofCustomer('acme').book, 'not a hash');
    await expect(store.admit(request(terms))).rejects.toMatchObject({
      code: 'STORE_UNAVAILABLE',
      cause: expect.objectContaining({ message: expect.stringContaining('WRONGTYPE') as string }) as Error,
    });
    await other.usage('acme', []);
  });

  test.each(['ioredis', 'node-redis'])(
    'limiter() counts on when Redis does not answer, with %s',
    async (library) => {
      const own = await RedisServer.start();
      const ioredis = new Redis(own.port);
      const nodeRedis = createClient({ url: `redis://127.0.0.1:${own.port}` });
      await nodeRedis.connect();
      const store = new RedisStore({ client: library === 'ioredis' ? ioredis : nodeRedis, timeoutMs: 200 });
      const limiter = store.limiter({ keyPrefix: 'reads', points: 2, duration: 60 });
      const other = store.limiter({ keyPrefix: 'writes', points: 5, duration: 60 });
      expect((await limiter.consume('acme')).remainingPoints).toBe(1);
      expect((await other.consume('acme')).remainingPoints).toBe(4);
      expect(await ioredis.exists('job-limits:limiter:reads:acme')).toBe(1);
      own.signal('SIGSTOP');
      expect((await limiter.consume('acme')).remainingPoints).toBe(1);
      expect((await limiter.consume('acme')).remainingPoints).toBe(0);
      await expect(limiter.consume('acme')).rejects.toMatchObject({ remainingPoints: 0 });
      own.signal('SIGCONT');
      ioredis.disconnect();
      nodeRedis.destroy();
      await own.stop();
    },
  );
});
