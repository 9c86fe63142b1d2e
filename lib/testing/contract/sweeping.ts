import assert from 'node:assert/strict';
import type { JobRef } from '../../stores/store.js';
import { HOUR, MINUTE, request, SECOND, slots, termsOf, type Suite } from '../harness.js';
import { claimAll, claimEach, DAY, finished, keptTerms } from './kept-jobs.js';

export function sweepingContract({ describe, test }: Suite): void {
  describe('claim and confirm', () => {
    test('results, then metadata, each once and not before its time', async ({ store, advance }) => {
      const ref = await finished(store);
      await advance(HOUR - SECOND);
      assert.deepEqual(await claimAll(store), []);
      await advance(SECOND);
      const [claim] = await claimAll(store);
      assert.deepEqual([claim!.due, claim!.job.ref, claim!.tries], ['results', ref, 1]);
      assert.deepEqual(await claimAll(store), []);
      assert.equal(await store.confirm([claim!]), 1);
      assert.equal(await store.confirm([claim!]), 0);
      assert.equal((await store.job(ref))?.expired, 'results');
      await advance(DAY - HOUR);
      const [last] = await claimAll(store);
      assert.equal(last!.due, 'metadata');
      assert.notEqual(last!.id, claim!.id);
      assert.equal(await store.confirm([last!]), 1);
      assert.equal(await store.job(ref), undefined);
      await advance(DAY);
      assert.deepEqual(await claimAll(store), []);
    });

    test('a claim that nobody confirms comes again, with the same id', async ({ store, advance }) => {
      await finished(store);
      await advance(HOUR);
      const [first] = await claimAll(store, MINUTE);
      await advance(MINUTE - SECOND);
      assert.deepEqual(await claimAll(store, MINUTE), []);
      await advance(SECOND);
      const [second] = await claimAll(store, MINUTE);
      assert.deepEqual([second!.id, second!.tries], [first!.id, 2]);
      // The first sweeper was only slow.
      assert.equal(await store.confirm([first!]), 1);
      assert.equal(await store.confirm([second!]), 0);
    });

    test('one claim a job, however many ask at once; and no more than asked for', async ({
      store,
      advance,
    }) => {
      for (let i = 0; i < 30; i += 1) await finished(store, keptTerms(), { state: 'completed' }, `c${i % 3}`);
      await advance(HOUR);
      const some = (await claimEach(store, 4)).flat();
      assert.ok(some.length > 0);
      const more = await Promise.all(Array.from({ length: 4 }, () => claimAll(store)));
      const ids = [...some, ...more.flat()].map(({ id }) => id);
      assert.equal(ids.length, 30);
      assert.equal(new Set(ids).size, 30);
    });

    test('a task put off comes again when it was said; one given up does not', async ({ store, advance }) => {
      const ref = await finished(store);
      await advance(HOUR);
      const [first] = await claimAll(store, MINUTE);
      await store.postpone(first!, 10 * MINUTE);
      await advance(10 * MINUTE - SECOND);
      assert.deepEqual(await claimAll(store, MINUTE), []);
      await advance(SECOND);
      const [second] = await claimAll(store, MINUTE);
      assert.equal(second!.tries, 2);
      await store.postpone(second!, null);
      await advance(DAY);
      assert.deepEqual(await claimAll(store), []);
      assert.equal((await store.job(ref))?.expired, 'metadata');
      assert.equal(await store.expireNow(ref), 'already');
      assert.equal((await claimAll(store))[0]!.due, 'results');
    });

    test('what is about to expire is announced once where its terms ask for it', async ({
      store,
      advance,
    }) => {
      await finished(store, keptTerms({ noticeMs: 10 * MINUTE }));
      await advance(50 * MINUTE);
      const [notice] = await claimAll(store);
      assert.equal(notice!.due, 'expiring');
      assert.equal(await store.confirm([notice!]), 1);
      await advance(9 * MINUTE);
      assert.deepEqual(await claimAll(store), []);
      await advance(MINUTE);
      assert.equal((await claimAll(store))[0]!.due, 'results');
    });

    test('what was extended while it was announced is announced again', async ({ store, advance }) => {
      const ref = await finished(store, keptTerms({ noticeMs: 10 * MINUTE }));
      const { resultsExpireAt } = (await store.job(ref))!;
      await advance(50 * MINUTE);
      const [notice] = await claimAll(store);
      assert.equal(await store.extend(ref, resultsExpireAt! + HOUR), 'extended');
      assert.equal(await store.confirm([notice!]), 0);
      await advance(HOUR);
      const [again] = await claimAll(store);
      assert.equal(again!.due, 'expiring');
      assert.notEqual(again!.id, notice!.id);
    });

    test('what nobody announced in time is deleted all the same', async ({ store, advance }) => {
      await finished(store, keptTerms({ noticeMs: 10 * MINUTE }));
      await advance(HOUR);
      assert.equal((await claimAll(store))[0]!.due, 'results');
    });

    test('ids of tasks are as short as promised, however long the names are', async ({ store, advance }) => {
      const [customer, id] = ['c'.repeat(512), 'j'.repeat(512)];
      const running = request(keptTerms(), customer, id, id);
      await store.admit(running);
      await store.commit(running.ref, running.run);
      await advance(8 * HOUR);
      const [claim] = await claimAll(store);
      assert.equal(claim!.due, 'overrun');
      assert.ok(Buffer.byteLength(claim!.id) <= 1_200, claim!.id);
    });

    test('a job past maxRun is due as overrun, of a customer that nobody asks for, until it is finished', async ({
      store,
      advance,
    }) => {
      const job = request(keptTerms());
      await store.admit(job);
      await store.commit(job.ref, job.run);
      await advance(8 * HOUR - SECOND);
      assert.deepEqual(await claimAll(store), []);
      await advance(SECOND);
      const [claim] = await claimAll(store, MINUTE);
      assert.deepEqual([claim!.due, claim!.job.state], ['overrun', 'running']);
      await advance(MINUTE);
      const [again] = await claimAll(store, MINUTE);
      assert.deepEqual([again!.id, again!.tries], [claim!.id, 2]);
      assert.equal(await store.finish(job.ref, { state: 'overrun' }), 'finished');
      assert.equal(await store.finish(job.ref, { state: 'overrun' }), 'already');
      await advance(HOUR);
      assert.equal((await claimAll(store))[0]!.due, 'results');
    });

    test('a missed heartbeat is no overrun before maxRun', async ({ store, advance }) => {
      const job = request(termsOf(slots(5, { maxRunMs: HOUR, heartbeatMs: MINUTE })));
      await store.admit(job);
      await store.commit(job.ref, job.run);
      await advance(2 * MINUTE);
      assert.deepEqual(await claimAll(store), []);
      assert.equal(await store.renew(job.ref), 'reinstated');
      await advance(HOUR - 2 * MINUTE);
      assert.equal((await claimAll(store))[0]!.due, 'overrun');
    });

    test('frees the lapsed leases of customers that nobody asks for', async ({ store, advance }) => {
      const lapsed: string[] = [];
      store.subscribe((event) => void (event.type === 'lapsed' && lapsed.push(event.ref.id)));
      const running = request(keptTerms());
      await store.admit(running);
      await store.commit(running.ref, running.run);
      const job = request(keptTerms());
      await store.admit(job);
      await advance(8 * HOUR);
      await claimAll(store);
      assert.deepEqual(lapsed, [job.ref.id]);
    });
  });

  describe('pin, extend, expireNow', () => {
    test('pinned results stay beyond their time, and expire when they are unpinned', async ({
      store,
      advance,
    }) => {
      const ref = await finished(store);
      assert.equal(await store.pin(ref, 'case 7'), 'pinned');
      await advance(2 * DAY);
      assert.deepEqual(await claimAll(store), []);
      const job = (await store.job(ref))!;
      assert.deepEqual([job.pinned, job.expired], ['case 7', undefined]);
      assert.equal(await store.expireNow(ref), 'pinned');
      assert.equal(await store.unpin(ref), 'unpinned');
      assert.equal(await store.unpin(ref), 'not-pinned');
      assert.equal((await store.job(ref))?.expired, 'metadata');
      assert.equal((await claimAll(store))[0]!.due, 'results');
    });

    test('a running job may be pinned ahead', async ({ store, advance }) => {
      const job = request(keptTerms());
      await store.admit(job);
      await store.commit(job.ref, job.run);
      assert.equal(await store.pin(job.ref, 'audit'), 'pinned');
      await store.finish(job.ref, { state: 'completed' });
      await advance(2 * HOUR);
      assert.deepEqual(await claimAll(store), []);
      assert.equal((await store.job(job.ref))?.expired, undefined);
    });

    test('comes too late once the results have expired, swept or not', async ({ store, advance }) => {
      const ref = await finished(store);
      await advance(HOUR);
      assert.equal(await store.pin(ref, 'late'), 'expired');
      assert.equal(await store.extend(ref, (await store.job(ref))!.finishedAt! + DAY), 'expired');
      assert.equal(await store.expireNow(ref), 'already');
    });

    test('extend keeps results longer, and metadata at least as long', async ({ store, advance }) => {
      const ref = await finished(store);
      const { finishedAt } = (await store.job(ref))!;
      assert.equal(await store.extend(ref, finishedAt! + MINUTE), 'kept');
      assert.equal(await store.extend(ref, finishedAt! + 2 * DAY), 'extended');
      const job = (await store.job(ref))!;
      assert.equal(job.resultsExpireAt, finishedAt! + 2 * DAY);
      assert.equal(job.metadataExpireAt, finishedAt! + 2 * DAY);
      await advance(DAY);
      assert.deepEqual(await claimAll(store), []);
      await advance(DAY);
      assert.equal((await claimAll(store))[0]!.due, 'results');
    });

    test('expireNow expires at once, a pinned job by force', async ({ store }) => {
      const ref = await finished(store);
      await store.pin(ref, 'case 7');
      assert.equal(await store.expireNow(ref, true), 'expired');
      assert.equal((await store.job(ref))?.expired, 'results');
      assert.equal((await claimAll(store))[0]!.due, 'results');
    });

    test('expireNow of results that a pin alone still held expires them', async ({ store, advance }) => {
      const ref = await finished(store);
      await store.pin(ref, 'case 7');
      await advance(2 * HOUR);
      assert.equal(await store.expireNow(ref, true), 'expired');
      assert.equal(await store.expireNow(ref), 'already');
      assert.equal((await store.job(ref))?.expired, 'results');
      assert.equal((await claimAll(store))[0]!.due, 'results');
    });

    test('say so where there is nothing to hold', async ({ store }) => {
      const unknown = { customer: 'acme', id: 'nobody' };
      const running = request(keptTerms());
      await store.admit(running);
      await store.commit(running.ref, running.run);
      const plain = await finished(store, termsOf(slots(10)));
      const undone = request(keptTerms());
      await store.admit(undone);
      await store.refund(undone.ref, undone.run);
      const answers = async (ref: JobRef): Promise<string[]> => [
        await store.pin(ref, 'why'),
        await store.extend(ref, 9e12),
        await store.expireNow(ref, true),
      ];
      assert.deepEqual(await answers(unknown), ['unknown', 'unknown', 'unknown']);
      assert.deepEqual(await answers(running.ref), ['pinned', 'unfinished', 'unfinished']);
      assert.deepEqual(await answers(plain), ['not-retained', 'not-retained', 'not-retained']);
      assert.deepEqual(await answers(undone.ref), ['unknown', 'unknown', 'unknown']);
      assert.equal(await store.unpin(unknown), 'unknown');
    });
  });
}
