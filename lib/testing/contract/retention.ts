import assert from 'node:assert/strict';
import type { JobRef, Outcome } from '../../stores/store.js';
import {
  allowedOf,
  admitMany,
  HOUR,
  MINUTE,
  request,
  SECOND,
  slots,
  usedOf,
  type Suite,
} from '../harness.js';
import { DAY, finished, keptTerms, sweep } from './kept-jobs.js';

export function retentionContract({ describe, test }: Suite): void {
  describe('retention', () => {
    test('is stamped at the end, and expires by the time, whether or not anybody sweeps', async ({
      store,
      advance,
    }) => {
      const ref = await finished(store);
      const job = (await store.job(ref))!;
      assert.equal(job.resultsExpireAt, job.finishedAt! + HOUR);
      assert.equal(job.metadataExpireAt, job.finishedAt! + DAY);
      assert.equal(job.expired, undefined);
      await advance(HOUR - SECOND);
      assert.equal((await store.job(ref))?.expired, undefined);
      await advance(SECOND);
      assert.equal((await store.job(ref))?.expired, 'results');
      await advance(DAY - HOUR);
      assert.equal((await store.job(ref))?.expired, 'metadata');
    });

    test('is what the job was admitted on, not what others are admitted on later', async ({
      store,
      advance,
    }) => {
      const long = await finished(store, keptTerms({ resultsMs: 10 * HOUR }));
      await finished(store, keptTerms({ resultsMs: MINUTE, metadataMs: MINUTE }));
      await advance(2 * HOUR);
      assert.equal((await store.job(long))?.expired, undefined);
    });

    test('may be another for jobs that fail, or overrun, and may be said at the end', async ({ store }) => {
      const terms = keptTerms({ failed: { resultsMs: 2 * HOUR, metadataMs: 2 * DAY } });
      const results = async (outcome: Outcome): Promise<number> => {
        const job = (await store.job(await finished(store, terms, outcome)))!;
        return job.resultsExpireAt! - job.finishedAt!;
      };
      assert.equal(await results({ state: 'completed' }), HOUR);
      assert.equal(await results({ state: 'cancelled' }), HOUR);
      assert.equal(await results({ state: 'failed' }), 2 * HOUR);
      assert.equal(await results({ state: 'overrun' }), 2 * HOUR);
      const retention = { resultsMs: 3 * HOUR, metadataMs: 3 * DAY };
      assert.equal(await results({ state: 'failed', retention }), 3 * HOUR);
    });

    test('a finish repeated changes nothing of it', async ({ store, advance }) => {
      const ref = await finished(store);
      const first = await store.job(ref);
      await advance(MINUTE);
      assert.equal(await store.finish(ref, { state: 'failed' }), 'already');
      assert.deepEqual(await store.job(ref), first);
    });

    test('an unknown job is recorded where its end says how long it is kept', async ({ store }) => {
      const ref = { customer: 'acme', id: 'from-before' };
      const retention = { resultsMs: HOUR, metadataMs: DAY };
      assert.equal(await store.finish(ref, { state: 'completed', retention }), 'finished');
      assert.equal(await store.finish(ref, { state: 'completed', retention }), 'already');
      const job = (await store.job(ref))!;
      assert.equal(job.state, 'completed');
      assert.equal(job.resultsExpireAt, job.finishedAt! + HOUR);
    });

    test('a kept job is a replay, until its metadata are deleted', async ({ store, advance }) => {
      const terms = keptTerms();
      const job = request(terms);
      await store.admit(job);
      await store.finish(job.ref, { state: 'completed' });
      await advance(2 * DAY);
      const again = await store.admit({ ...job, run: 'another' });
      assert.ok(again.allowed && again.replayed);
      await sweep(store);
      const anew = await store.admit({ ...job, run: 'a third' });
      assert.ok(anew.allowed && !anew.replayed);
    });

    test('usage shows what is kept, soonest to expire first, as many as asked for', async ({
      store,
      advance,
    }) => {
      const refs: JobRef[] = [];
      for (const hours of [3, 1, 2]) refs.push(await finished(store, keptTerms({ resultsMs: hours * HOUR })));
      const idsOf = async (most?: number): Promise<string[]> =>
        (await store.usage('acme', [], most)).kept.map(({ ref }) => ref.id);
      assert.deepEqual(await idsOf(), []);
      assert.deepEqual(await idsOf(2), [refs[1]!.id, refs[2]!.id]);
      await advance(HOUR);
      assert.deepEqual(await idsOf(10), [refs[2]!.id, refs[0]!.id]);
    });
  });

  describe('what is kept', () => {
    test('holds no slot', async ({ store }) => {
      const terms = { ...keptTerms(), limits: [slots(1)] };
      await finished(store, terms);
      assert.deepEqual(await usedOf(store, terms), { concurrency: 0 });
      assert.equal(allowedOf(await admitMany(store, terms, 2)), 1);
    });
  });
}
