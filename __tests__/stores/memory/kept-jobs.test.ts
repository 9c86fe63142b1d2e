import { jobLifecycle, ManualClock, MemoryStore, type JobRef, type StoreEvent } from '../../../lib/index.js';
import { DAY, finished, keptTerms, sweep } from '../../../lib/testing/contract/kept-jobs.js';
import { HOUR } from '../../../lib/testing/harness.js';
import { runningJob } from '../../jobs/swept-store.js';

function storeOf(bounds: { maxJobs?: number } = {}) {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock, ...bounds });
  const events: StoreEvent[] = [];
  store.subscribe((event) => events.push(event));
  const finish = (customer?: string): Promise<JobRef> =>
    finished(store, keptTerms(), { state: 'completed' }, customer);
  /** The days that pass one by one, so that all that is done now and then is. */
  const days = (count: number): void => {
    for (let hour = 0; hour < 24 * count; hour += 1) clock.advance(HOUR);
  };
  return { clock, store, events, finish, days };
}

describe('a full MemoryStore', () => {
  it('makes room by forgetting what only metadata are left of, never results', async () => {
    const { clock, store, events, finish } = storeOf({ maxJobs: 4 });
    const swept = await finish();
    clock.advance(HOUR);
    await store.confirm(await store.claim({ shard: 0, limit: 10, leaseMs: 60_000 }));
    const kept = [await finish(), await finish(), await finish('globex')];
    const last = await finish();
    expect(events).toEqual([{ type: 'records-dropped', count: 1, reason: 'maxJobs (4) was reached' }]);
    expect(await store.job(swept)).toBeUndefined();
    for (const ref of [...kept, last]) expect((await store.job(ref))?.expired).toBeUndefined();
  });

  it('with nothing but results that are kept takes no more until some are deleted', async () => {
    const { clock, store, events, finish } = storeOf({ maxJobs: 3 });
    const refs = [await finish(), await finish(), await finish()];
    await expect(runningJob(store)).rejects.toMatchObject({ code: 'STORE_FULL' });
    const retention = { resultsMs: HOUR, metadataMs: HOUR };
    const unknown = { customer: 'acme', id: 'from-before' };
    await expect(store.finish(unknown, { state: 'completed', retention })).rejects.toMatchObject({
      code: 'STORE_FULL',
    });
    for (const ref of refs) expect((await store.job(ref))?.expired).toBeUndefined();
    clock.advance(HOUR);
    // Expired, and not deleted yet.
    await expect(runningJob(store)).rejects.toMatchObject({ code: 'STORE_FULL' });
    const jobs = jobLifecycle({ store, clock });
    await jobs.sweep({ onExpire: () => undefined }).turn();
    await jobs.close();
    await runningJob(store);
    expect(events).toEqual([{ type: 'records-dropped', count: 1, reason: 'maxJobs (3) was reached' }]);
  });
});

describe('jobs that nobody sweeps', () => {
  it('are told of once an hour from a day after they were due, until somebody does', async () => {
    const { clock, store, events, finish, days } = storeOf();
    await finish();
    const since = clock.wallNow() + HOUR;
    days(1);
    clock.advance(HOUR - 1);
    expect(events).toEqual([]);
    clock.advance(3 * HOUR);
    expect(events).toEqual(Array(3).fill({ type: 'unswept', since }));
    await sweep(store);
    events.length = 0;
    days(2);
    expect(events).toEqual([]);
  });

  it('are told of only where they are due: not while pinned or extended', async () => {
    const { clock, store, events, finish, days } = storeOf();
    await store.pin(await finish(), 'case 7');
    await store.extend(await finish(), clock.wallNow() + 20 * DAY);
    days(20);
    expect(events).toEqual([]);
    days(2);
    expect(events[0]).toMatchObject({ type: 'unswept' });
  });

  it('are not told of once their deletion was given up', async () => {
    const { clock, store, events, finish, days } = storeOf();
    await finish();
    clock.advance(HOUR);
    const [claim] = await store.claim({ shard: 0, limit: 10, leaseMs: 60_000 });
    await store.postpone(claim!, null);
    days(20);
    expect(events).toEqual([]);
  });

  it('are dropped, with an event, a month or two after their metadata expired; pinned ones stay', async () => {
    const { store, events, finish, days } = storeOf();
    const refs = [await finish(), await finish()];
    const pinned = await finish();
    await store.pin(pinned, 'case 7');
    days(30);
    for (const ref of refs) expect(await store.job(ref)).toBeDefined();
    days(31);
    for (const ref of refs) expect(await store.job(ref)).toBeUndefined();
    const dropped = events.flatMap((event) => (event.type === 'records-dropped' ? [event.count] : []));
    expect(dropped.reduce((sum, count) => sum + count, 0)).toBe(2);
    days(100);
    expect(await store.job(pinned)).toMatchObject({ pinned: 'case 7' });
    await store.unpin(pinned);
    days(31);
    expect(await store.job(pinned)).toBeUndefined();
  });
});

describe('an idle store', () => {
  it('forgets all of its swept jobs, and its timer stops', async () => {
    const { clock, store, finish } = storeOf();
    for (let i = 0; i < 20; i += 1) await finish(`customer-${i}`);
    const running = await runningJob(store);
    clock.advance(DAY);
    const jobs = jobLifecycle({ store, clock });
    const sweeper = jobs.sweep({ onExpire: () => undefined, everyMs: '20d' });
    for (let i = 0; i < 3; i += 1) {
      await sweeper.turn();
      clock.advance(DAY);
    }
    await sweeper.turn();
    expect(await store.job(running)).toBeUndefined();
    await jobs.close();
    const every = jest.spyOn(clock, 'every');
    clock.advance(DAY);
    // The next customer starts it anew.
    await finish('another');
    expect(every).toHaveBeenCalledTimes(1);
    every.mockRestore();
    await store.close();
  });

  it('keeps nothing of ten thousand jobs that have come and gone', async () => {
    const { clock, store, events } = storeOf({ maxJobs: 1_000 });
    const terms = keptTerms({ resultsMs: 1_000, metadataMs: 1_000 });
    for (let i = 0; i < 10_000; i += 1) {
      await finished(store, terms, { state: 'completed' }, `customer-${i % 10}`);
      if (i % 100 === 99) {
        clock.advance(1_000);
        await sweep(store);
      }
    }
    expect((await store.usage('customer-0', [], 1_000)).kept).toEqual([]);
    expect(events).toEqual([]);
    await store.close();
  });
});
