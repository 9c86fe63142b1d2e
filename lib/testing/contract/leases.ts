import assert from 'node:assert/strict';
import type { LimitStore } from '../../stores/store.js';
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
  type Suite,
} from '../harness.js';

export function leaseContract({ describe, test }: Suite): void {
  describe('leases', () => {
    test('finish gives back one slot, however often and from however many at once it is called', async ({
      store,
    }) => {
      const terms = termsOf(slots(3));
      const jobs = await runJobs(store, 3, terms);
      const answers = await Promise.all(
        Array.from({ length: 5 }, () => store.finish(jobs[0]!, { state: 'failed' })),
      );
      assert.deepEqual(answers.sort(), ['already', 'already', 'already', 'already', 'finished']);
      assert.deepEqual(await usedOf(store, terms), { concurrency: 2 });
      assert.equal(allowedOf(await admitMany(store, terms, 3)), 1);
    });

    test('a running job without heartbeat holds its slot until maxRun', async ({ store, advance }) => {
      const terms = termsOf(slots(1, { maxRunMs: HOUR }));
      await runJobs(store, 1, terms);
      await advance(HOUR - SECOND);
      assert.equal(allowedOf(await admitMany(store, terms, 1)), 0);
      await advance(SECOND);
      assert.equal(allowedOf(await admitMany(store, terms, 1)), 1);
    });

    test('heartbeats keep the slot, and never beyond maxRun', async ({ store, advance }) => {
      const terms = termsOf(slots(1, { maxRunMs: 3 * MINUTE, heartbeatMs: MINUTE }));
      const [job] = await runJobs(store, 1, terms);
      for (let i = 0; i < 4; i += 1) {
        await advance(40 * SECOND);
        assert.equal(await store.renew(job!), 'renewed');
        assert.equal(allowedOf(await admitMany(store, terms, 1)), 0);
      }
      await advance(21 * SECOND);
      assert.equal(await store.renew(job!), 'overrun');
      assert.equal(allowedOf(await admitMany(store, terms, 1)), 1);
    });

    test('a lease that came back late is held beyond the limit', async ({ store, advance }) => {
      const terms = termsOf(slots(1, { heartbeatMs: MINUTE }));
      const [job] = await runJobs(store, 1, terms);
      await advance(MINUTE);
      assert.equal(allowedOf(await admitMany(store, terms, 1)), 1);
      assert.equal(await store.renew(job!), 'reinstated');
      assert.deepEqual(await usedOf(store, terms), { concurrency: 2 });
      assert.equal(allowedOf(await admitMany(store, terms, 1)), 0);
    });

    test('one job that lapses takes no other with it', async ({ store, advance }) => {
      const terms = termsOf(rate(10, HOUR), slots(10));
      await admitMany(store, terms, 1);
      await advance(30 * SECOND);
      await admitMany(store, terms, 2);
      await advance(31 * SECOND);
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 2, concurrency: 2 });
    });

    test('a job that nothing limits how many run needs no finish', async ({ store, advance }) => {
      const terms = termsOf(rate(3, HOUR));
      const [job] = await runJobs(store, 1, terms);
      assert.equal((await store.job(job!))?.leaseUntil, undefined);
      await advance(2 * MINUTE);
      assert.equal(await store.renew(job!), 'renewed');
      assert.equal(await store.finish(job!, { state: 'completed' }), 'finished');
    });

    test('a job that nothing limits is a job all the same', async ({ store }) => {
      const job = request(termsOf());
      assert.equal((await store.admit(job)).allowed, true);
      assert.equal((await store.job(job.ref))?.state, 'pending');
      const again = await store.admit({ ...job, run: 'another' });
      assert.ok(again.allowed && again.replayed);
      assert.equal(await store.commit(job.ref, job.run), 'committed');
      assert.equal(await store.finish(job.ref, { state: 'completed' }), 'finished');
    });

    test('a finished job is remembered as long as its terms say', async ({ store, advance }) => {
      const terms = { ...termsOf(rate(3, MINUTE)), rememberMs: HOUR };
      const [job] = await runJobs(store, 1, terms);
      await store.finish(job!, { state: 'completed' });
      await advance(HOUR - SECOND);
      assert.equal((await store.job(job!))?.state, 'completed');
      await advance(SECOND);
      assert.equal(await store.job(job!), undefined);
    });

    test('the estimate of a wait follows how often slots come free', async ({ store, advance }) => {
      const terms = termsOf(slots(4));
      const jobs = await runJobs(store, 4, terms);
      for (const job of jobs.slice(0, 3)) {
        await advance(20 * SECOND);
        await store.finish(job, { state: 'completed' });
      }
      await admitMany(store, terms, 3);
      const refused = await store.admit(request(terms));
      assert.ok(!refused.allowed);
      assert.ok(Math.abs(refused.retryAfterMs! - 20 * SECOND) <= SECOND, String(refused.retryAfterMs));
    });
  });

  describe('refund', () => {
    test('gives the slot and the rate back exactly', async ({ store }) => {
      const terms = termsOf(rate(2, MINUTE), slots(2));
      const job = request(terms);
      await admitMany(store, terms, 1);
      await store.admit(job);
      assert.equal(await store.refund(job.ref, job.run), 'refunded');
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 1, concurrency: 1 });
      assert.equal(allowedOf(await admitMany(store, terms, 3)), 1);
    });

    test('gives the rate back at most as often as the limit, so that failing for ever is stopped', async ({
      store,
      advance,
    }) => {
      const terms = termsOf(rate(3, MINUTE), slots(1));
      let attempts = 0;
      for (; attempts < 50; attempts += 1) {
        const job = request(terms);
        if (!(await store.admit(job)).allowed) break;
        await store.refund(job.ref, job.run);
      }
      assert.equal(attempts, 6);
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 3, concurrency: 0 });
      await advance(MINUTE);
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 0, concurrency: 0 });
    });

    test('at once from several processes it happens once', async ({ store }) => {
      const terms = termsOf(rate(3, MINUTE), slots(3));
      const job = request(terms);
      await admitMany(store, terms, 1);
      await store.admit(job);
      const answers = await Promise.all(Array.from({ length: 4 }, () => store.refund(job.ref, job.run)));
      assert.equal(answers.filter((answer) => answer === 'refunded').length, 1);
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 1, concurrency: 1 });
    });
  });
}

async function runJobs(store: LimitStore, times: number, terms: ReturnType<typeof termsOf>) {
  const refs = [];
  for (let i = 0; i < times; i += 1) {
    const job = request(terms);
    assert.equal((await store.admit(job)).allowed, true);
    assert.equal(await store.commit(job.ref, job.run), 'committed');
    refs.push(job.ref);
  }
  return refs;
}
