import assert from 'node:assert/strict';
import type { AdmitRequest, Amounts, LimitStore, QuotaLimit, Terms } from '../../stores/store.js';
import {
  allowedOf,
  admitMany,
  HOUR,
  MINUTE,
  rate,
  request,
  slots,
  termsOf,
  usedOf,
  type Suite,
} from '../harness.js';

const DAY = 24 * HOUR;

const quota = (limit: number, more: Partial<QuotaLimit> = {}): QuotaLimit => ({
  kind: 'quota',
  name: 'seconds-per-day',
  unit: 'seconds',
  per: 'day',
  limit,
  mode: 'enforce',
  ...more,
});

const jobOf = (terms: Terms, amounts: Amounts, id?: string): AdmitRequest => ({
  ...request(terms, 'acme', id),
  amounts,
});

/** Moves on to the beginning of a day, so that a test doesn't run into the next one. */
async function startOfDay(store: LimitStore, advance: (ms: number) => Promise<void> | void): Promise<void> {
  const terms = termsOf(quota(1));
  const probe = await store.admit({ ...jobOf(terms, { seconds: 1 }), ref: { customer: 'probe', id: 'a' } });
  await advance(probe.limits[0]!.resetAfterMs! + MINUTE);
}

export function quotaContract({ describe, test }: Suite): void {
  describe('quotas', () => {
    test('add up amounts and refuse what would go beyond, all or nothing', async ({ store, advance }) => {
      await startOfDay(store, advance);
      const terms = termsOf(rate(10, HOUR), slots(10), quota(100));
      assert.equal((await store.admit(jobOf(terms, { seconds: 60 }))).allowed, true);
      const refused = await store.admit(jobOf(terms, { seconds: 41 }));
      assert.ok(!refused.allowed);
      assert.deepEqual([refused.code, refused.limit], ['QUOTA_EXCEEDED', 'seconds-per-day']);
      assert.ok(refused.retryAfterMs! > 20 * HOUR && refused.retryAfterMs! <= DAY);
      assert.deepEqual(await usedOf(store, terms), {
        'creation-rate': 1,
        concurrency: 1,
        'seconds-per-day': 60,
      });
      const last = await store.admit(jobOf(terms, { seconds: 40 }));
      assert.equal(last.allowed, true);
      assert.deepEqual([last.limits[2]!.used, last.limits[2]!.remaining], [100, 0]);
      assert.deepEqual([last.limits[2]!.unit, last.limits[2]!.per], ['seconds', 'day']);
    });

    test('a refusal by another limit charges them nothing', async ({ store, advance }) => {
      await startOfDay(store, advance);
      const terms = termsOf(slots(1), quota(100));
      await store.admit(jobOf(terms, { seconds: 10 }));
      assert.equal((await store.admit(jobOf(terms, { seconds: 10 }))).allowed, false);
      assert.deepEqual(await usedOf(store, terms), { concurrency: 1, 'seconds-per-day': 10 });
    });

    test('one job is one of the unit jobs; of other units nothing, which is never refused', async ({
      store,
    }) => {
      const terms = termsOf(
        quota(2, { name: 'jobs-per-month', unit: 'jobs', per: 'month' }),
        quota(0, { limit: 5 }),
      );
      assert.equal(allowedOf(await admitMany(store, terms, 3)), 2);
      assert.deepEqual(await usedOf(store, terms), { 'jobs-per-month': 2, 'seconds-per-day': 0 });
    });

    test('begin anew with each hour, day and month', async ({ store, advance }) => {
      await startOfDay(store, advance);
      const terms = termsOf(
        quota(9, { name: 'hour', per: 'hour' }),
        quota(9, { name: 'day' }),
        quota(9, { name: 'month', per: 'month' }),
      );
      const job = jobOf(terms, { seconds: 5 });
      await store.admit(job);
      await store.commit(job.ref, job.run);
      await advance(HOUR);
      assert.deepEqual(await usedOf(store, terms), { hour: 0, day: 5, month: 5 });
      await advance(DAY);
      const { limits } = await store.usage('acme', terms.limits);
      assert.equal(limits[1]!.used, 0);
      await advance(31 * DAY);
      assert.deepEqual(await usedOf(store, terms), { hour: 0, day: 0, month: 0 });
    });

    test('are settled by what the job really used, up and down', async ({ store, advance }) => {
      await startOfDay(store, advance);
      const terms = termsOf(slots(9), quota(100), quota(9, { name: 'pages', unit: 'pages' }));
      const [more, less, silent] = [10, 20, 30].map((seconds) => jobOf(terms, { seconds, pages: 1 }));
      for (const job of [more!, less!, silent!]) await store.admit(job);
      await store.finish(more!.ref, { state: 'completed', units: { seconds: 95 } });
      assert.equal((await usedOf(store, terms))['seconds-per-day'], 145);
      await store.finish(less!.ref, { state: 'completed', units: { seconds: 0, pages: 2 } });
      await store.finish(silent!.ref, { state: 'failed' });
      await store.finish(silent!.ref, { state: 'failed', units: { seconds: 0 } });
      assert.deepEqual(await usedOf(store, terms), { concurrency: 0, 'seconds-per-day': 125, pages: 4 });
      assert.equal((await store.admit(jobOf(terms, { seconds: 1 }))).allowed, false);
      assert.equal((await store.admit(jobOf(terms, { seconds: 0 }))).allowed, true);
    });

    test('belong to the period of admission, also when the job ends in the next one', async ({
      store,
      advance,
    }) => {
      await startOfDay(store, advance);
      const terms = termsOf(slots(9), quota(100), quota(100, { name: 'month', per: 'month' }));
      const job = jobOf(terms, { seconds: 10 });
      await store.admit(job);
      await store.commit(job.ref, job.run);
      await advance(DAY);
      const now = jobOf(terms, { seconds: 1 });
      await store.admit(now);
      assert.equal(await store.finish(job.ref, { state: 'completed', units: { seconds: 50 } }), 'finished');
      assert.equal((await usedOf(store, terms))['seconds-per-day'], 1);
    });

    test('a period is forgotten a day after its last job must have ended: unsettled', async ({
      store,
      advance,
    }) => {
      await startOfDay(store, advance);
      const terms = termsOf(slots(9, { maxRunMs: HOUR }), quota(100));
      const job = jobOf(terms, { seconds: 10 });
      await store.admit(job);
      await store.commit(job.ref, job.run);
      await advance(2 * DAY + 2 * HOUR);
      assert.equal(await store.finish(job.ref, { state: 'completed', units: { seconds: 50 } }), 'unsettled');
      assert.equal((await store.job(job.ref))?.state, 'completed');
    });

    test('come back exactly with a refund, and when a pending lease runs out', async ({ store, advance }) => {
      await startOfDay(store, advance);
      const terms = termsOf(slots(9), quota(100));
      const [refunded, lapsed] = [jobOf(terms, { seconds: 10 }), jobOf(terms, { seconds: 20 })];
      await store.admit(refunded);
      await store.admit(lapsed);
      await store.refund(refunded.ref, refunded.run);
      assert.equal((await usedOf(store, terms))['seconds-per-day'], 20);
      await advance(terms.pendingMs);
      assert.equal((await usedOf(store, terms))['seconds-per-day'], 0);
      assert.equal(await store.commit(lapsed.ref, lapsed.run), 'reinstated');
      assert.equal((await usedOf(store, terms))['seconds-per-day'], 20);
    });

    test('are not charged twice by the same run, and are by another middleware of it', async ({
      store,
      advance,
    }) => {
      await startOfDay(store, advance);
      const terms = termsOf(slots(9), quota(100));
      const job = jobOf(terms, { seconds: 10 });
      await store.admit(job);
      await store.admit(job);
      assert.equal((await usedOf(store, terms))['seconds-per-day'], 10);
      const more = termsOf(quota(50, { name: 'other' }));
      await store.admit({ ...job, terms: more, amounts: { seconds: 7 } });
      assert.deepEqual(await usedOf(store, more), { other: 7 });
      await store.refund(job.ref, job.run);
      assert.deepEqual(await usedOf(store, more), { other: 0 });
    });

    test('in shadow decide and are not charged beyond the limit', async ({ store }) => {
      const terms = termsOf(quota(10, { mode: 'shadow' }));
      await store.admit(jobOf(terms, { seconds: 8 }));
      const decision = await store.admit(jobOf(terms, { seconds: 3 }));
      assert.equal(decision.allowed, true);
      assert.deepEqual(decision.shadowed, ['seconds-per-day']);
      assert.deepEqual(await usedOf(store, terms), { 'seconds-per-day': 8 });
    });

    test('name no wait for what is more than the whole quota', async ({ store }) => {
      const refused = await store.admit(jobOf(termsOf(quota(10)), { seconds: 11 }));
      assert.ok(!refused.allowed);
      assert.equal(refused.retryAfterMs, undefined);
    });

    test('are exact to the last unit, beyond what fits 32 bits too', async ({ store }) => {
      const limit = Number.MAX_SAFE_INTEGER;
      const terms = termsOf(quota(limit, { per: 'month' }));
      assert.equal((await store.admit(jobOf(terms, { seconds: limit - 1 }))).allowed, true);
      assert.equal((await store.admit(jobOf(terms, { seconds: 2 }))).allowed, false);
      assert.equal((await store.admit(jobOf(terms, { seconds: 1 }))).allowed, true);
      assert.deepEqual(await usedOf(store, terms), { 'seconds-per-day': limit });
    });

    test('are charged for jobs that are taken in from elsewhere', async ({ store, advance }) => {
      await startOfDay(store, advance);
      const terms = termsOf(slots(9), quota(10));
      await store.admit({ ...jobOf(terms, { seconds: 25 }), adopt: true });
      assert.deepEqual(await usedOf(store, terms), { concurrency: 1, 'seconds-per-day': 25 });
    });
  });

  describe('limits on what is stored', () => {
    const stored = (limit: number, unit: string): QuotaLimit =>
      quota(limit, { name: `stored-${unit}`, unit, per: 'stored' });
    const kept = (...limits: QuotaLimit[]): Terms => ({
      ...termsOf(slots(9), ...limits),
      retention: { resultsMs: HOUR, metadataMs: DAY },
    });

    test('are given back when the results are deleted, not before', async ({ store, advance }) => {
      const terms = kept(stored(2, 'jobs'), stored(100, 'bytes'));
      const jobs = [jobOf(terms, { bytes: 10 }), jobOf(terms, {})];
      for (const job of jobs) await store.admit(job);
      const refused = await store.admit(jobOf(terms, {}));
      assert.ok(!refused.allowed);
      assert.deepEqual([refused.code, refused.retryAfterMs], ['QUOTA_EXCEEDED', undefined]);
      for (const job of jobs) await store.finish(job.ref, { state: 'completed', units: { bytes: 40 } });
      assert.deepEqual(await usedOf(store, terms), {
        concurrency: 0,
        'stored-jobs': 2,
        'stored-bytes': 80,
      });
      await advance(HOUR);
      assert.equal((await store.admit(jobOf(terms, {}))).allowed, false);
      for (let shard = 0; shard < store.shards; shard += 1) {
        await store.confirm(await store.claim({ shard, limit: 10, leaseMs: MINUTE }));
      }
      assert.deepEqual(await usedOf(store, terms), { concurrency: 0, 'stored-jobs': 0, 'stored-bytes': 0 });
    });

    test('are given back at the end where nothing is kept', async ({ store }) => {
      const terms = termsOf(slots(9), stored(1, 'jobs'));
      const job = jobOf(terms, {});
      await store.admit(job);
      assert.equal((await store.admit(jobOf(terms, {}))).allowed, false);
      await store.finish(job.ref, { state: 'completed' });
      assert.equal((await store.admit(jobOf(terms, {}))).allowed, true);
    });
  });
}
