import { ManualClock } from '../../../lib/clock.js';
import { StoreError } from '../../../lib/errors.js';
import { FailoverStore, type FailoverOptions } from '../../../lib/stores/failover/failover-store.js';
import { MemoryStore } from '../../../lib/stores/memory/memory-store.js';
import type { LimitStore, StoreEvent } from '../../../lib/stores/store.js';
import {
  admitMany,
  allowedOf,
  MINUTE,
  rate,
  request,
  slots,
  termsOf,
  usedOf,
} from '../../../lib/testing/harness.js';

type Weather = 'fine' | 'fails' | 'hangs' | 'full';

/** A shared store that can be made to fail or hang, on a clock that is moved by hand. */
function scene(options: Partial<FailoverOptions> = {}) {
  const clock = new ManualClock();
  const shared = new MemoryStore({ clock });
  const world = { weather: 'fine' as Weather, calls: 0, hung: [] as (() => void)[] };
  const store = new Proxy(shared, {
    get(target, name) {
      const member = Reflect.get(target, name) as unknown;
      if (typeof member !== 'function') return member;
      if (name === 'subscribe' || name === 'limiter') return member.bind(target) as unknown;
      return async (...args: unknown[]) => {
        world.calls += 1;
        if (world.weather === 'hangs') await new Promise<void>((resolve) => world.hung.push(resolve));
        if (world.weather === 'fails') throw new StoreError('STORE_UNAVAILABLE', 'Down');
        if (world.weather === 'full') throw new StoreError('STORE_FULL', 'Out of memory');
        return (member as (...args: unknown[]) => unknown).apply(target, args);
      };
    },
  }) as LimitStore;
  const failover = new FailoverStore({ store, clock, timeout: 200, ...options });
  const events: StoreEvent[] = [];
  failover.subscribe((event) => events.push(event));
  const switches = () => events.flatMap((event) => (event.type === 'store-switched' ? [event.to] : []));
  /** The store answers again, and the failover has noticed. */
  const comeBack = async (): Promise<void> => {
    world.weather = 'fine';
    for (let i = 0; i < 5 && switches().at(-1) !== 'store'; i += 1) {
      clock.advance(1_000);
      for (let turn = 0; turn < 200; turn += 1) await Promise.resolve();
    }
    expect(switches().at(-1)).toBe('store');
  };
  /** Brings it out: the first failure and the probe that follows it. */
  const goOut = async (weather: Weather): Promise<void> => {
    world.weather = weather;
    await failover.override('anybody').catch(() => null);
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
  };
  return { clock, shared, failover, world, events, switches, comeBack, goOut };
}

const terms = termsOf(rate(8, MINUTE), slots(8));

describe('FailoverStore', () => {
  test('tells after how long the store answered, and of no call that it failed at', async () => {
    const { failover, events, goOut } = scene({ processes: 1 });
    const answered = () => events.filter(({ type }) => type === 'store-answered');
    await failover.admit(request(terms));
    await failover.usage('acme', terms.limits);
    expect(answered()).toEqual([
      { type: 'store-answered', operation: 'admit', durationMs: expect.any(Number) as number },
      { type: 'store-answered', operation: 'usage', durationMs: expect.any(Number) as number },
    ]);
    await goOut('fails');
    await failover.admit(request(terms));
    expect(answered()).toHaveLength(2);
  });

  test('local: goes on with this process’s share, at least 1', async () => {
    const { failover, goOut } = scene({ processes: 4 });
    await goOut('fails');
    expect(allowedOf(await admitMany(failover, terms, 5))).toBe(2);
    expect(allowedOf(await admitMany(failover, termsOf(slots(3)), 3, 'globex'))).toBe(1);
    const blocked = await failover.admit(request(termsOf(slots(0)), 'initech'));
    expect(blocked).toMatchObject({ allowed: false, code: 'LIMIT_BLOCKED' });
    expect(await usedOf(failover, terms)).toEqual({ 'creation-rate': 2, concurrency: 2 });
  });

  test('an out-of-memory store is an outage too', async () => {
    const { failover, goOut, switches } = scene({ processes: 1 });
    await goOut('full');
    expect(switches()).toEqual(['local']);
    expect(allowedOf(await admitMany(failover, terms, 1))).toBe(1);
  });

  test('deny: throws at once, and hides nothing', async () => {
    const { failover, goOut, world, switches } = scene();
    await goOut('fails');
    expect(switches()).toEqual(['deny']);
    const { calls } = world;
    await expect(failover.admit(request(terms))).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    const ended = failover.finish({ customer: 'acme', id: 'x' }, { state: 'completed' });
    await expect(ended).rejects.toMatchObject({ code: 'STORE_UNAVAILABLE' });
    expect(world.calls).toBe(calls);
  });

  test('allow: admits everything, charges nothing, and counts the jobs that run once the store is back', async () => {
    const { failover, shared, goOut, comeBack } = scene({ onStoreError: 'allow' });
    await goOut('fails');
    const job = request(terms);
    expect(await failover.admit(job)).toEqual({ allowed: true, replayed: false, limits: [], shadowed: [] });
    expect(allowedOf(await admitMany(failover, terms, 20))).toBe(20);
    await failover.commit(job.ref, job.run);
    await comeBack();
    expect(await usedOf(shared, terms)).toEqual({ 'creation-rate': 0, concurrency: 21 });
    expect((await shared.job(job.ref))?.state).toBe('running');
  });

  test('a hanging store costs the calls under way one timeout, and later ones nothing', async () => {
    const { failover, world } = scene({ processes: 1 });
    world.weather = 'hangs';
    const early = [failover.admit(request(terms)), failover.admit(request(terms))];
    await new Promise((resolve) => setTimeout(resolve, 100));
    const late = failover.admit(request(terms)).then((decision) => [decision]);
    expect(allowedOf(await Promise.all(early))).toBe(2);
    // The one that started later does not wait for a timeout of its own.
    const soon = new Promise<never[]>((resolve) => setTimeout(resolve, 10, []));
    expect(await Promise.race([late, soon])).toHaveLength(1);
    const { calls } = world;
    expect(allowedOf(await admitMany(failover, terms, 5))).toBe(5);
    expect(world.calls).toBe(calls);
    await failover.close();
  });

  test('one call’s own failure takes nobody with it', async () => {
    const { failover, shared, world, switches } = scene({ processes: 1 });
    const admit = shared.admit.bind(shared);
    shared.admit = (asked) =>
      asked.ref.customer === 'cursed'
        ? Promise.reject(new StoreError('STORE_UNAVAILABLE', 'WRONGTYPE'))
        : admit(asked);
    expect(allowedOf(await admitMany(failover, terms, 3, 'cursed'))).toBe(3);
    expect(switches()).toEqual([]);
    const { calls } = world;
    await admitMany(failover, terms, 2);
    expect(world.calls).toBeGreaterThan(calls);
    expect(await usedOf(shared, terms)).toEqual({ 'creation-rate': 2, concurrency: 2 });
  });

  test('on return, jobs admitted locally are counted beyond the limit, and can be finished', async () => {
    const { failover, shared, goOut, comeBack, events } = scene({ processes: 1 });
    await admitMany(failover, terms, 8);
    await goOut('fails');
    const [running, open, gone, failed] = [0, 1, 2, 3].map(() => request(terms));
    for (const job of [running!, open!, gone!, failed!])
      expect((await failover.admit(job)).allowed).toBe(true);
    for (const job of [running!, gone!]) expect(await failover.commit(job.ref, job.run)).toBe('committed');
    expect(await failover.finish(gone!.ref, { state: 'completed' })).toBe('finished');
    expect(await failover.refund(failed!.ref, failed!.run)).toBe('refunded');
    await comeBack();
    expect(events.find(({ type }) => type === 'journal-written')).toMatchObject({ adopted: 2, dropped: 0 });
    expect(await usedOf(shared, terms)).toEqual({ 'creation-rate': 8, concurrency: 10 });
    expect(await failover.commit(open!.ref, open!.run)).toBe('committed');
    expect(await failover.refund(open!.ref, open!.run)).toBe('refunded');
    expect(await failover.finish(running!.ref, { state: 'completed' })).toBe('finished');
    expect(await usedOf(shared, terms)).toEqual({ 'creation-rate': 8, concurrency: 8 });
  });

  test('what becomes of jobs that the store knows is told to it on return', async () => {
    const { failover, shared, goOut, comeBack } = scene({ processes: 1 });
    const [started, ended, taken] = [0, 1, 2].map(() => request(terms));
    for (const job of [started!, ended!, taken!]) await failover.admit(job);
    await failover.commit(ended!.ref, ended!.run);
    await goOut('fails');
    expect(await failover.commit(started!.ref, started!.run)).toBe('committed');
    expect(await failover.renew(started!.ref)).toBe('renewed');
    expect(await failover.finish(ended!.ref, { state: 'failed' })).toBe('finished');
    expect(await failover.refund(taken!.ref, taken!.run)).toBe('refunded');
    await comeBack();
    const states = await Promise.all([started!, ended!, taken!].map(async ({ ref }) => shared.job(ref)));
    expect(states.map((job) => job?.state)).toEqual(['running', 'failed', 'refunded']);
    expect(await usedOf(shared, terms)).toEqual({ 'creation-rate': 2, concurrency: 1 });
  });

  test('going out again and again admits one more limit in a window, not one each time', async () => {
    const { failover, goOut, comeBack } = scene({ processes: 1 });
    let admitted = 0;
    for (let outage = 0; outage < 4; outage += 1) {
      await goOut('fails');
      const jobs = Array.from({ length: 8 }, () => request(terms));
      for (const job of jobs) {
        if ((await failover.admit(job)).allowed) admitted += 1;
        await failover.finish(job.ref, { state: 'completed' });
      }
      await comeBack();
    }
    expect(admitted).toBe(8);
  });

  test('keeps a bounded journal and tells what did not fit', async () => {
    const { failover, shared, goOut, comeBack, events } = scene({ onStoreError: 'allow', journal: 3 });
    await goOut('fails');
    await admitMany(failover, terms, 5);
    await comeBack();
    expect(events.find(({ type }) => type === 'journal-written')).toMatchObject({ adopted: 3, dropped: 2 });
    expect(await usedOf(shared, terms)).toMatchObject({ concurrency: 3 });
  });

  test('stays out while the journal can not be written, and loses nothing of it', async () => {
    const { failover, shared, world, clock, goOut, comeBack, switches } = scene({ processes: 1 });
    await goOut('fails');
    await admitMany(failover, terms, 4);
    const admit = shared.admit.bind(shared);
    let failures = 2;
    shared.admit = (asked) =>
      asked.adopt && (failures -= 1) >= 0
        ? Promise.reject(new StoreError('STORE_UNAVAILABLE', 'Down again'))
        : admit(asked);
    world.weather = 'fine';
    clock.advance(1_000);
    for (let turn = 0; turn < 200; turn += 1) await Promise.resolve();
    expect(switches()).toEqual(['local']);
    await comeBack();
    expect(await usedOf(shared, terms)).toMatchObject({ concurrency: 4 });
  });

  test('closed while it looks whether the store is out, it does not look again', async () => {
    const { failover, world, clock, switches } = scene();
    world.weather = 'fails';
    const failed = failover.override('anybody').catch(() => null);
    await failover.close();
    await failed;
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    const { calls } = world;
    clock.advance(5_000);
    for (let turn = 0; turn < 50; turn += 1) await Promise.resolve();
    expect([world.calls - calls, switches()]).toEqual([0, []]);
  });

  test('limiter() counts on by the share, or refuses, or allows', () => {
    const options = { keyPrefix: 'x', points: 100, duration: 60 };
    const points = (more: Partial<FailoverOptions>) => {
      const { failover, shared } = scene(more);
      shared.limiter = () => ({ insuranceLimiter: undefined }) as never;
      return (failover.limiter(options) as unknown as { insuranceLimiter?: { points: number } })
        .insuranceLimiter?.points;
    };
    expect(points({ processes: 8 })).toBe(12);
    expect(points({ onStoreError: 'deny' })).toBeUndefined();
    expect(points({ onStoreError: 'allow' })).toBe(1e9);
  });

  test('local needs to know how many processes there are', () => {
    expect(() => scene({ onStoreError: 'local' })).toThrow(/FailoverStore\.processes/);
  });

  test('what jobs used and leave behind counts, also of those that were made and have ended during an outage', async () => {
    const { failover, shared, goOut, comeBack } = scene({ processes: 2 });
    const quota = {
      kind: 'quota',
      name: 'pages',
      unit: 'pages',
      per: 'month',
      limit: 100,
      mode: 'enforce',
    } as const;
    const kept = { ...termsOf(slots(8), quota), retention: { resultsMs: MINUTE, metadataMs: MINUTE } };
    await goOut('fails');
    const job = { ...request(kept), amounts: { pages: 30 } };
    expect((await failover.admit(job)).allowed).toBe(true);
    expect((await failover.admit({ ...request(kept), amounts: { pages: 30 } })).allowed).toBe(false);
    await failover.commit(job.ref, job.run);
    expect(await failover.finish(job.ref, { state: 'completed', units: { pages: 42 } })).toBe('finished');
    const undone = { ...request(kept), amounts: { pages: 5 } };
    await failover.admit(undone);
    await failover.refund(undone.ref, undone.run);
    await comeBack();
    expect(await usedOf(shared, kept)).toEqual({ concurrency: 0, pages: 42 });
    const { finishedAt, resultsExpireAt } = (await shared.job(job.ref))!;
    expect(resultsExpireAt).toBe(finishedAt! + MINUTE);
  });
});
