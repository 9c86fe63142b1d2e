import { getEventListeners } from 'node:events';
import { StoreError, type Clock, type JobRef, type LimitStore } from '../../lib/index.js';
import { DAY, finished, keptTerms } from '../../lib/testing/contract/kept-jobs.js';
import { HOUR, MINUTE, SECOND } from '../../lib/testing/harness.js';
import { deferred } from '../support/apps.js';
import { until } from '../support/http.js';
import {
  finishMany,
  runningJob,
  storeWith,
  sweeperOn,
  testOn,
  type Call,
  type MakeStore,
} from './swept-store.js';

const unavailable = (): Promise<never> => Promise.reject(new StoreError('STORE_UNAVAILABLE', 'gone'));

/** What a sweeper promises, on any store. */
export function sweeperSuite(make: MakeStore): void {
  const test = testOn(make);

  describe('a turn', () => {
    test('deletes results and then metadata, each when its time has come, and then forgets the job', async (swept) => {
      const { store, advance } = swept;
      const ref = await finished(store);
      const { sweeper, calls, of } = sweeperOn(swept);
      expect(await sweeper.turn()).toMatchObject({ claimed: 0, done: 0 });

      await advance(HOUR);
      expect(await sweeper.turn()).toMatchObject({ claimed: 1, done: 1, failed: 0, lagMs: 0 });
      expect(await store.job(ref)).toMatchObject({ state: 'completed', expired: 'results' });
      expect(await sweeper.turn()).toMatchObject({ claimed: 0 });

      await advance(DAY + MINUTE - HOUR);
      const late = await sweeper.turn();
      expect(late).toMatchObject({ claimed: 1, done: 1 });
      // The time of some stores goes on meanwhile.
      expect(Math.abs(late.lagMs - MINUTE)).toBeLessThan(SECOND);
      expect(await store.job(ref)).toBeUndefined();
      expect(calls.map(({ due, ref, tries }) => [due, ref, tries])).toEqual([
        ['results', ref, 1],
        ['metadata', ref, 1],
      ]);
      expect(calls[0]!.id).not.toBe(calls[1]!.id);
      expect(of('expired').map(({ due, job }) => [due, job.ref])).toEqual([
        ['results', ref],
        ['metadata', ref],
      ]);
      await sweeper.stop();
    });

    test('begins by itself at the start and then at every interval', async (swept) => {
      const { store, advance } = swept;
      await finished(store);
      await advance(HOUR);
      const { sweeper, calls } = sweeperOn(swept, undefined, { everyMs: '1h' });
      await until(() => calls.length === 1);
      await sweeper.turn();
      await advance(DAY - 2 * HOUR);
      await sweeper.turn();
      await advance(HOUR);
      await until(() => calls.length === 2);
      await sweeper.stop();
    });

    test('without onMetadataExpire the record goes by itself', async (swept) => {
      const { store, advance } = swept;
      const ref = await finished(store);
      await advance(DAY);
      const { sweeper, calls } = sweeperOn(swept, undefined, { onMetadataExpire: undefined! });
      await sweeper.turn();
      await sweeper.turn();
      expect(calls.map(({ due }) => due)).toEqual(['results']);
      expect(await store.job(ref)).toBeUndefined();
      await sweeper.stop();
    });

    test('runs no more callbacks at once than it may', async (swept) => {
      const { store, advance } = swept;
      await finishMany(store, 30);
      await advance(HOUR);
      let running = 0;
      let most = 0;
      const { sweeper } = sweeperOn(
        swept,
        async () => {
          most = Math.max(most, (running += 1));
          await new Promise((resolve) => setImmediate(resolve));
          running -= 1;
        },
        { concurrency: 4, batch: 20 },
      );
      let done = 0;
      while (done < 30) done += (await sweeper.turn()).done;
      expect(most).toBeLessThanOrEqual(4);
      expect(most).toBeGreaterThan(1);
      await sweeper.stop();
    });

    test('goes on claiming for turnMs and leaves the rest to the next one', async (swept) => {
      const { store, clock, advance } = swept;
      // All in one shard.
      for (let i = 0; i < 10; i += 1) await finished(store);
      await advance(HOUR);
      const { sweeper } = sweeperOn(swept, () => clock.advance(SECOND), {
        batch: 1,
        concurrency: 1,
        turnMs: '3s',
      });
      const reports = [await sweeper.turn(), await sweeper.turn()];
      expect(reports).toMatchObject([
        { done: 3, tookMs: 3 * SECOND },
        { done: 3, tookMs: 3 * SECOND },
      ]);
      await sweeper.stop();
    });

    test('claims no more than it can begin in half a lease, so that no try is used up in vain', async (swept) => {
      const { store, clock, advance } = swept;
      for (let i = 0; i < 20; i += 1) await finished(store);
      await advance(HOUR);
      const asked: number[] = [];
      const counting = storeWith(store, {
        async claim(request) {
          const claims = await store.claim(request);
          if (claims.length > 0) asked.push(request.limit);
          return claims;
        },
      });
      const slow = (): void => clock.advance(10 * SECOND);
      const { sweeper, calls } = sweeperOn({ ...swept, store: counting }, slow, {
        batch: 10,
        concurrency: 1,
        leaseMs: '1m',
        turnMs: '10m',
      });
      await sweeper.turn();
      // Four of the first ten were begun in 30 seconds; then three at a time.
      expect(asked.slice(0, 4)).toEqual([10, 3, 3, 3]);
      await sweeper.stop();
      expect(calls.slice(0, 13).map(({ tries }) => tries)).toEqual(Array(13).fill(1));
    });
  });

  describe('a callback that fails', () => {
    const failures: [string, () => unknown][] = [
      [
        'throws',
        () => {
          throw new Error('no such bucket');
        },
      ],
      ['rejects', () => Promise.reject(new Error('no such bucket'))],
    ];
    for (const [how, fail] of failures) {
      test(`because it ${how} is tried again, later each time, and given up in the end`, async (swept) => {
        const { store, advance } = swept;
        const ref = await finished(store);
        await advance(HOUR);
        let broken = true;
        const { jobs, sweeper, calls, of } = sweeperOn(swept, () => (broken ? fail() : undefined), {
          mostTries: 4,
        });
        expect(await sweeper.turn()).toMatchObject({ claimed: 1, done: 0, failed: 1 });
        for (const tries of [1, 2, 3]) {
          const { retryInMs, error, due, job } = of('expiry-failed').at(-1)!;
          expect([due, job.ref, (error as Error).message]).toEqual(['results', ref, 'no such bucket']);
          expect(retryInMs).toBeGreaterThanOrEqual(SECOND * 2 ** (tries - 1));
          expect(retryInMs).toBeLessThanOrEqual(1.25 * SECOND * 2 ** (tries - 1));
          await advance(retryInMs! - SECOND / 2);
          expect(await sweeper.turn()).toMatchObject({ claimed: 0 });
          await advance(SECOND / 2);
          await sweeper.turn();
        }
        expect(of('expiry-failed').map(({ tries }) => tries)).toEqual([1, 2, 3, 4]);
        expect(of('expiry-failed').at(-1)!.retryInMs).toBeNull();
        expect(new Set(calls.map(({ id }) => id)).size).toBe(1);

        await advance(10 * DAY);
        await sweeper.turn();
        expect(calls).toHaveLength(4);
        expect((await store.job(ref))?.expired).toBe('metadata');

        broken = false;
        expect(await jobs.expireNow(ref)).toBe('already');
        await sweeper.turn();
        expect(calls.slice(4).map(({ due, tries }) => [due, tries])[0]).toEqual(['results', 1]);
        expect(calls[4]!.id).toBe(calls[0]!.id);
        await sweeper.turn();
        expect(await store.job(ref)).toBeUndefined();
        await sweeper.stop();
      });
    }

    test('waits at most an hour, and a quarter, between two tries', async (swept) => {
      const { store, advance } = swept;
      await finished(store);
      await advance(HOUR);
      const { sweeper, of } = sweeperOn(swept, () => Promise.reject(new Error('no')), { mostTries: 20 });
      for (let i = 0; i < 15; i += 1) {
        await sweeper.turn();
        await advance(1.25 * HOUR);
      }
      const last = of('expiry-failed').at(-1)!;
      expect(last.tries).toBeGreaterThan(13);
      expect(last.retryInMs).toBeGreaterThanOrEqual(HOUR);
      expect(last.retryInMs).toBeLessThanOrEqual(1.25 * HOUR);
      await sweeper.stop();
    });

    test('because it never settles ends with its claim, keeps nobody waiting, and is tried again', async (swept) => {
      const { store, advance } = swept;
      const refs = await finishMany(store, 5);
      await advance(HOUR);
      let stuck: Call | undefined;
      const { sweeper, calls, of } = sweeperOn(
        swept,
        (call) => {
          if (stuck !== undefined) return undefined;
          stuck = call;
          return new Promise(() => undefined);
        },
        { leaseMs: '1m', concurrency: 2 },
      );
      const turns = async (): Promise<void> => {
        for (let i = 0; i < 4; i += 1) await sweeper.turn();
      };
      const first = turns();
      await until(() => stuck !== undefined);
      // On a store of several parts the others come up once this claim is over.
      await advance(54 * SECOND - 1);
      expect(stuck!.signal.aborted).toBe(false);
      await advance(1);
      await first;
      expect(stuck!.signal.aborted).toBe(true);
      expect(of('expiry-failed')).toMatchObject([
        { error: { code: 'EXPIRY_TIMEOUT' }, job: { ref: stuck!.ref }, tries: 1 },
      ]);
      expect(of('expired')).toHaveLength(4);
      await advance(MINUTE);
      await turns();
      expect(calls).toHaveLength(6);
      expect(calls.at(-1)).toMatchObject({ id: stuck!.id, tries: 2 });
      for (const ref of refs) expect((await store.job(ref))?.expired).toBe('results');
      await sweeper.stop();
    });
  });

  describe('a store that fails', () => {
    const broken = (method: keyof LimitStore, times: number, store: LimitStore): LimitStore => {
      let left = times;
      const real = (store[method] as (...args: unknown[]) => Promise<unknown>).bind(store);
      return storeWith(store, {
        [method]: (...args: unknown[]) => {
          left -= 1;
          return left >= 0 ? unavailable() : real(...args);
        },
      });
    };

    test('at claim ends the turn, and the next one goes on', async (swept) => {
      const { store, advance } = swept;
      await finished(store);
      await advance(HOUR);
      const { sweeper, calls, of } = sweeperOn({ ...swept, store: broken('claim', 1, store) });
      expect(await sweeper.turn()).toMatchObject({ claimed: 0 });
      expect(of('store-error')).toMatchObject([{ operation: 'sweep', error: { code: 'STORE_UNAVAILABLE' } }]);
      await sweeper.turn();
      expect(calls).toHaveLength(1);
      await sweeper.stop();
    });

    test('at confirm has the deletion done again, by the same id', async (swept) => {
      const { store, advance } = swept;
      const ref = await finished(store);
      await advance(HOUR);
      const { sweeper, calls, of } = sweeperOn({ ...swept, store: broken('confirm', 1, store) });
      await sweeper.turn();
      expect(of('store-error')).toHaveLength(1);
      expect((await store.job(ref))?.expired).toBe('results');
      await advance(MINUTE);
      await sweeper.turn();
      await advance(MINUTE);
      await sweeper.turn();
      expect(calls.map(({ id, tries }) => [id, tries])).toEqual([
        [calls[0]!.id, 1],
        [calls[0]!.id, 2],
      ]);
      await sweeper.stop();
    });

    test('at postpone lets the claim run out', async (swept) => {
      const { store, advance } = swept;
      await finished(store);
      await advance(HOUR);
      let fails = true;
      const { sweeper, calls } = sweeperOn({ ...swept, store: broken('postpone', 1, store) }, () => {
        if (fails) throw new Error('no');
      });
      await sweeper.turn();
      fails = false;
      await advance(MINUTE - SECOND);
      await sweeper.turn();
      expect(calls).toHaveLength(1);
      await advance(SECOND);
      await sweeper.turn();
      expect(calls.map(({ tries }) => tries)).toEqual([1, 2]);
      await sweeper.stop();
    });

    test('at finish ends the overrun job at another turn', async (swept) => {
      const { store, advance } = swept;
      const ref = await runningJob(store);
      await advance(8 * HOUR);
      const { sweeper, of } = sweeperOn({ ...swept, store: broken('finish', 1, store) });
      await sweeper.turn();
      expect((await store.job(ref))?.state).toBe('running');
      await advance(MINUTE);
      await sweeper.turn();
      expect((await store.job(ref))?.state).toBe('overrun');
      expect(of('overrun')).toHaveLength(1);
      await sweeper.stop();
    });
  });

  describe('listeners', () => {
    test('that throw leave nothing undone, and become warnings', async (swept) => {
      const { store, advance } = swept;
      const warn = jest.spyOn(process, 'emitWarning').mockImplementation();
      const ref = await finished(store, keptTerms({ noticeMs: 10 * MINUTE }));
      const ends = await runningJob(store);
      const { jobs, sweeper, calls } = sweeperOn(swept);
      for (const event of ['expiring', 'expired', 'overrun', 'finish', 'swept', 'expiry-failed'] as const) {
        jobs.on(event, () => {
          throw new Error(`listener of ${event}`);
        });
      }
      await advance(50 * MINUTE);
      await sweeper.turn();
      await advance(8 * HOUR);
      await sweeper.turn();
      expect((await store.job(ref))?.expired).toBe('results');
      expect((await store.job(ends))?.state).toBe('overrun');
      expect(calls).toHaveLength(1);
      await sweeper.turn();
      expect(calls).toHaveLength(1);
      expect(warn.mock.calls.map(([, options]) => options)).toContainEqual({ code: 'LISTENER_FAILED' });
      warn.mockRestore();
      await sweeper.stop();
    });
  });

  describe('stopping', () => {
    test('begins nothing more and waits for what is under way', async (swept) => {
      const { store, advance } = swept;
      for (let i = 0; i < 10; i += 1) await finished(store);
      await advance(HOUR);
      const gate = deferred();
      const { sweeper, calls, of } = sweeperOn(swept, () => gate.promise, { concurrency: 2 });
      await until(() => calls.length === 2);
      let stopped = false;
      const stop = sweeper.stop().then(() => (stopped = true));
      await new Promise((resolve) => setImmediate(resolve));
      expect(stopped).toBe(false);
      gate.resolve();
      await stop;
      expect(calls).toHaveLength(2);
      expect(of('expired')).toHaveLength(2);
      expect(await sweeper.turn()).toMatchObject({ claimed: 0 });
      // Another sweeper takes over when the claims have run out.
      await advance(MINUTE);
      const other = sweeperOn(swept);
      await other.sweeper.turn();
      expect(other.calls).toHaveLength(8);
      await other.sweeper.stop();
    });

    test('waits for a callback that never settles no longer than its claim', async (swept) => {
      const { store, advance } = swept;
      await finished(store);
      await advance(HOUR);
      const { sweeper, calls } = sweeperOn(swept, () => new Promise(() => undefined), { leaseMs: '1m' });
      await until(() => calls.length === 1);
      const stop = sweeper.stop();
      await advance(MINUTE);
      await stop;
    });

    test('comes with an AbortSignal too, and its listener goes', async (swept) => {
      const { store, advance } = swept;
      await finished(store);
      await advance(HOUR);
      const aborted = sweeperOn(swept, undefined, { signal: AbortSignal.abort() });
      expect(await aborted.sweeper.turn()).toMatchObject({ claimed: 0 });

      const controller = new AbortController();
      const { sweeper, calls } = sweeperOn(swept, undefined, { signal: controller.signal });
      expect(getEventListeners(controller.signal, 'abort')).toHaveLength(1);
      await sweeper.turn();
      controller.abort();
      expect(getEventListeners(controller.signal, 'abort')).toHaveLength(0);
      await advance(DAY);
      await sweeper.turn();
      expect(calls).toHaveLength(1);
    });

    test('leaves no timer behind', async (swept) => {
      const { store, clock, advance } = swept;
      await finished(store);
      const timers = new Set<object>();
      const counting: Clock = {
        now: () => clock.now(),
        wallNow: () => clock.wallNow(),
        every(intervalMs, run) {
          const timer = {};
          timers.add(timer);
          const stop = clock.every(intervalMs, run);
          return () => {
            timers.delete(timer);
            stop();
          };
        },
      };
      const { jobs, sweeper } = sweeperOn({ ...swept, clock: counting as typeof clock });
      await advance(HOUR);
      await sweeper.turn();
      expect(timers.size).toBe(1);
      await jobs.close();
      expect(timers.size).toBe(0);
    });
  });

  describe('running jobs', () => {
    test('past maxRun are finished as overrun, told once however many sweep, and then kept', async (swept) => {
      const { store, advance } = swept;
      const ref = await runningJob(store);
      const sweepers = [sweeperOn(swept), sweeperOn(swept), sweeperOn(swept)];
      await advance(8 * HOUR - SECOND);
      await Promise.all(sweepers.map(({ sweeper }) => sweeper.turn()));
      expect((await store.job(ref))?.state).toBe('running');
      await advance(SECOND);
      for (let i = 0; i < 2; i += 1) await Promise.all(sweepers.map(({ sweeper }) => sweeper.turn()));
      await advance(MINUTE);
      await Promise.all(sweepers.map(({ sweeper }) => sweeper.turn()));
      expect(sweepers.flatMap(({ of }) => of('overrun')).map(({ job }) => job.ref)).toEqual([ref]);
      const job = (await store.job(ref))!;
      expect(job.state).toBe('overrun');
      expect(job.resultsExpireAt).toBe(job.finishedAt! + HOUR);
      await advance(HOUR);
      await Promise.all(sweepers.map(({ sweeper }) => sweeper.turn()));
      expect(sweepers.flatMap(({ calls }) => calls).map(({ due, ref }) => [due, ref])).toEqual([
        ['results', ref],
      ]);
      await Promise.all(sweepers.map(({ jobs }) => jobs.close()));
    });
  });

  describe('running jobs whose claim has gone to another sweeper', () => {
    test('are told of by the one that finished them', async (swept) => {
      const { store, advance } = swept;
      const ref = await runningJob(store);
      await advance(8 * HOUR);
      const gate = deferred();
      let asked = 0;
      const held = storeWith(store, {
        async finish(ref, outcome) {
          asked += 1;
          await gate.promise;
          return store.finish(ref, outcome);
        },
      });
      const slow = sweeperOn({ ...swept, store: held });
      await until(() => asked === 1);
      await advance(MINUTE);
      const quick = sweeperOn(swept);
      await quick.sweeper.turn();
      gate.resolve();
      await slow.sweeper.turn();
      expect(slow.of('finish')).toEqual([{ ref, answer: 'already', state: 'overrun' }]);
      expect([slow, quick].map(({ of }) => of('overrun').length)).toEqual([0, 1]);
      await Promise.all([slow, quick].map(({ jobs }) => jobs.close()));
    });
  });

  describe('results about to expire', () => {
    test('are announced once, before they do', async (swept) => {
      const { store, advance } = swept;
      const ref = await finished(store, keptTerms({ noticeMs: 10 * MINUTE }));
      const { sweeper, calls, of } = sweeperOn(swept);
      await advance(50 * MINUTE - SECOND);
      await sweeper.turn();
      expect(of('expiring')).toEqual([]);
      await advance(SECOND);
      await sweeper.turn();
      await advance(9 * MINUTE);
      await sweeper.turn();
      expect(of('expiring').map(({ job }) => job.ref)).toEqual([ref]);
      expect(calls).toEqual([]);
      await sweeper.stop();
    });
  });

  describe('several sweepers', () => {
    test('delete each result once', async (swept) => {
      const { store, advance } = swept;
      const refs = await finishMany(store, 100);
      await advance(HOUR);
      const sweepers = Array.from({ length: 4 }, () => sweeperOn(swept, undefined, { batch: 7 }));
      for (let i = 0; i < 3; i += 1) await Promise.all(sweepers.map(({ sweeper }) => sweeper.turn()));
      const ids = sweepers.flatMap(({ calls }) => calls).map(({ ref }) => ref.id);
      expect(ids).toHaveLength(100);
      expect(new Set(ids)).toEqual(new Set(refs.map(({ id }) => id)));
      expect(sweepers.filter(({ calls }) => calls.length > 0).length).toBeGreaterThan(1);
      await Promise.all(sweepers.map(({ jobs }) => jobs.close()));
    });

    test('delete 2,000 results, none before its time, though one callback in ten fails', async (swept) => {
      const { store, advance } = swept;
      const refs = await finishMany(store, 2_000);
      const later = await finishMany(store, 200, keptTerms({ resultsMs: 12 * HOUR }));
      const nameOf = ({ customer, id }: JobRef): string => `${customer}/${id}`;
      const deleted = new Set<string>();
      const early: string[] = [];
      let called = 0;
      const callback = async ({ ref, due }: Call): Promise<void> => {
        if (due !== 'results') return;
        const fails = (called += 1) % 10 === 0;
        if ((await store.job(ref))?.expired === undefined) early.push(nameOf(ref));
        if (fails) throw new Error('one in ten');
        deleted.add(nameOf(ref));
      };
      const sweepers = Array.from({ length: 4 }, () => sweeperOn(swept, callback, { batch: 50 }));
      const turn = (): Promise<unknown> => Promise.all(sweepers.map(({ sweeper }) => sweeper.turn()));
      await advance(HOUR - SECOND);
      await turn();
      expect(called).toBe(0);
      await advance(SECOND);
      for (let i = 0; i < 30 && deleted.size < 2_000; i += 1) {
        await turn();
        await advance(20 * SECOND);
      }
      expect([...deleted].sort()).toEqual(refs.map(nameOf).sort());
      expect(called / 2_000).toBeLessThanOrEqual(1.2);
      await advance(11 * HOUR);
      for (let i = 0; i < 30 && deleted.size < 2_200; i += 1) {
        await turn();
        await advance(20 * SECOND);
      }
      expect(early).toEqual([]);
      expect([...deleted].sort()).toEqual([...refs, ...later].map(nameOf).sort());
      // And in the end nothing of them is left.
      await advance(2 * DAY);
      for (let i = 0; i < 5; i += 1) await turn();
      for (const ref of [refs[0]!, refs.at(-1)!, later[0]!]) expect(await store.job(ref)).toBeUndefined();
      await Promise.all(sweepers.map(({ jobs }) => jobs.close()));
    });
  });
}
