import cluster from 'node:cluster';
import { ManualClock, MemoryStore, type StoreEvent, type Terms } from '../../../lib/index.js';

const terms: Terms = {
  limits: [
    { kind: 'creation-rate', name: 'rate', limit: 1000, windowMs: 60_000, mode: 'enforce' },
    { kind: 'concurrency', name: 'slots', limit: 1000, maxRunMs: 3_600_000, mode: 'enforce' },
  ],
  pendingMs: 60_000,
  rememberMs: 24 * 3_600_000,
};

function storeOf(bounds: { maxJobs?: number; maxCustomers?: number }) {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock, ...bounds });
  const events: StoreEvent[] = [];
  store.subscribe((event) => events.push(event));
  const run = async (customer: string, id: string) => {
    await store.admit({ ref: { customer, id }, run: id, terms });
    await store.commit({ customer, id });
  };
  const finish = (customer: string, id: string) => store.finish({ customer, id }, { state: 'completed' });
  return { clock, store, events, run, finish };
}

describe('MemoryStore is bounded', () => {
  it('by maxJobs: remembered jobs of the largest holder go first, oldest first, and it is told', async () => {
    const { store, events, run, finish } = storeOf({ maxJobs: 10 });
    for (let i = 0; i < 4; i += 1) {
      await run('large', `l${i}`);
      await finish('large', `l${i}`);
    }
    for (let i = 0; i < 2; i += 1) {
      await run('small', `s${i}`);
      await finish('small', `s${i}`);
    }
    for (let i = 0; i < 5; i += 1) await run('busy', `b${i}`);
    expect(events).toEqual([{ type: 'records-dropped', count: 1, reason: 'maxJobs (10) was reached' }]);
    expect(await store.job({ customer: 'large', id: 'l0' })).toBeUndefined();
    expect((await store.job({ customer: 'large', id: 'l1' }))?.state).toBe('completed');
    expect((await store.job({ customer: 'small', id: 's0' }))?.state).toBe('completed');
  });

  it('by maxJobs: when all are running a new one is STORE_FULL, and charges nothing', async () => {
    const { store, run, finish } = storeOf({ maxJobs: 3 });
    for (let i = 0; i < 3; i += 1) await run('busy', `b${i}`);
    await expect(run('busy', 'b3')).rejects.toMatchObject({ code: 'STORE_FULL' });
    const { limits } = await store.usage('busy', terms.limits);
    expect(limits.map(({ used }) => used)).toEqual([3, 3]);
    await finish('busy', 'b0');
    await run('busy', 'b3');
    expect((await store.usage('busy', terms.limits)).limits[1]!.used).toBe(3);
  });

  it('by maxCustomers: idle ones make room, busy ones do not', async () => {
    const { clock, store, run } = storeOf({ maxCustomers: 2 });
    await run('one', 'a');
    await run('two', 'a');
    await expect(run('three', 'a')).rejects.toMatchObject({ code: 'STORE_FULL' });
    await store.finish({ customer: 'one', id: 'a' }, { state: 'completed' });
    clock.advance(terms.rememberMs);
    await run('three', 'a');
    expect(await store.job({ customer: 'one', id: 'a' })).toBeUndefined();
  });

  it('customers that were only asked about are not kept', async () => {
    const { store, run } = storeOf({ maxCustomers: 1 });
    for (const who of ['x', 'y', 'z']) {
      await store.usage(who, terms.limits);
      await store.finish({ customer: who, id: 'a' }, { state: 'completed' });
      await store.override(who);
    }
    await run('one', 'a');
  });

  it('an override is never forgotten', async () => {
    const { clock, store } = storeOf({});
    await store.setOverride('acme', { limits: [terms.limits[0]!] });
    for (let i = 0; i < 50; i += 1) clock.advance(24 * 3_600_000);
    expect((await store.override('acme'))?.limits).toEqual([terms.limits[0]]);
  });

  it('its one timer runs only while there is something to keep', async () => {
    const timers = new Set<object>();
    const manual = new ManualClock();
    const store = new MemoryStore({
      clock: {
        now: () => manual.now(),
        wallNow: () => manual.wallNow(),
        every(intervalMs, run) {
          const timer = {};
          timers.add(timer);
          const stop = manual.every(intervalMs, run);
          return () => {
            timers.delete(timer);
            stop();
          };
        },
      },
    });
    expect(timers.size).toBe(0);
    for (let i = 0; i < 20; i += 1) {
      const ref = { customer: `c${i}`, id: 'a' };
      await store.admit({ ref, run: 'a', terms });
      await store.finish(ref, { state: 'completed' });
    }
    expect(timers.size).toBe(1);
    manual.advance(terms.rememberMs + 20_000);
    expect(timers.size).toBe(0);
    await store.admit({ ref: { customer: 'c', id: 'a' }, run: 'a', terms });
    expect(timers.size).toBe(1);
    await store.close();
    expect(timers.size).toBe(0);
  });

  it('warns once under cluster, where each worker would count for itself', () => {
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation();
    const isWorker = jest.replaceProperty(cluster, 'isWorker', true);
    new MemoryStore();
    new MemoryStore();
    expect(warn.mock.calls.map(([, options]) => options)).toEqual([{ code: 'MEMORY_STORE_IN_CLUSTER' }]);
    isWorker.restore();
    warn.mockRestore();
  });
});
