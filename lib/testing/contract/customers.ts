import assert from 'node:assert/strict';
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

export function customerContract({ describe, test }: Suite): void {
  describe('usage', () => {
    test('charges nothing and shows who holds the leases, oldest first', async ({ store, advance }) => {
      const terms = { ...termsOf(rate(5, HOUR), slots(4)), plan: 'pro' };
      const first = request(terms);
      await store.admit(first);
      await store.commit(first.ref);
      await advance(10 * SECOND);
      const second = request(terms);
      await store.admit(second);
      const usage = await store.usage('acme', terms.limits);
      assert.deepEqual(
        await store.usage('acme', terms.limits).then(({ limits }) => limits.map(({ used }) => used)),
        [2, 2],
      );
      assert.deepEqual(
        usage.running.map(({ ref, state, plan }) => [ref.id, state, plan]),
        [
          [first.ref.id, 'running', 'pro'],
          [second.ref.id, 'pending', 'pro'],
        ],
      );
      const apart = usage.running[1]!.admittedAt - usage.running[0]!.admittedAt;
      assert.ok(Math.abs(apart - 10 * SECOND) < SECOND);
      assert.ok(usage.running[0]!.leaseUntil! > usage.running[0]!.startedAt!);
    });

    test('of a customer never seen is all zero', async ({ store }) => {
      const { limits, running } = await store.usage('nobody', [rate(5, MINUTE), slots(2)]);
      assert.deepEqual(
        limits.map(({ used, remaining }) => [used, remaining]),
        [
          [0, 5],
          [0, 2],
        ],
      );
      assert.deepEqual(running, []);
    });
  });

  describe('overrides', () => {
    test('replace the limit of the same name at the next admission, and can be read and removed', async ({
      store,
    }) => {
      const terms = termsOf(rate(2, MINUTE), slots(10));
      assert.equal(await store.override('acme'), null);
      const raised = [rate(4, MINUTE)];
      await store.setOverride('acme', { limits: raised });
      assert.deepEqual((await store.override('acme'))?.limits, raised);
      assert.equal(allowedOf(await admitMany(store, terms, 6)), 4);
      assert.equal((await store.usage('acme', terms.limits)).limits[0]!.limit, 4);
      assert.equal(allowedOf(await admitMany(store, terms, 6, 'globex')), 2);
      await store.setOverride('acme', null);
      assert.equal(await store.override('acme'), null);
      assert.equal((await store.usage('acme', terms.limits)).limits[0]!.limit, 2);
    });

    test('replace the numbers, not the counter', async ({ store }) => {
      const keyed = termsOf(rate(1, MINUTE, { key: 'whisper' }));
      const plain = termsOf(rate(1, MINUTE));
      await store.setOverride('acme', { limits: [rate(2, MINUTE, { key: 'nova' })] });
      assert.equal(allowedOf(await admitMany(store, keyed, 3)), 2);
      assert.equal(allowedOf(await admitMany(store, plain, 3)), 2);
      await store.setOverride('acme', null);
      assert.deepEqual(await usedOf(store, keyed), { 'creation-rate': 2 });
      assert.deepEqual(await usedOf(store, plain), { 'creation-rate': 2 });
    });

    test('lowering ends nothing and admits nothing until there is room', async ({ store }) => {
      const terms = termsOf(slots(3));
      const jobs = [request(terms), request(terms), request(terms)];
      for (const job of jobs) await store.admit(job);
      await store.setOverride('acme', { limits: [slots(2)] });
      assert.deepEqual(await usedOf(store, terms), { concurrency: 3 });
      await store.finish(jobs[0]!.ref, { state: 'completed' });
      assert.equal(allowedOf(await admitMany(store, terms, 1)), 0);
      await store.finish(jobs[1]!.ref, { state: 'completed' });
      assert.equal(allowedOf(await admitMany(store, terms, 2)), 1);
    });

    test('below what is in use, the reset is when one is allowed again', async ({ store, advance }) => {
      const terms = termsOf(rate(3, MINUTE));
      for (let i = 0; i < 3; i += 1) {
        await admitMany(store, terms, 1);
        await advance(10 * SECOND);
      }
      await store.setOverride('acme', { limits: [rate(2, MINUTE)] });
      const [limit] = (await store.usage('acme', terms.limits)).limits;
      assert.deepEqual([limit!.used, limit!.remaining], [3, 0]);
      assert.ok(Math.abs(limit!.resetAfterMs! - 40 * SECOND) < SECOND);
    });

    test('a rate lowered and raised again forgets nothing in the window', async ({ store }) => {
      const terms = termsOf(rate(6, MINUTE));
      await admitMany(store, terms, 5);
      await store.setOverride('acme', { limits: [rate(2, MINUTE)] });
      assert.equal(allowedOf(await admitMany(store, terms, 1)), 0);
      await store.setOverride('acme', null);
      assert.equal(allowedOf(await admitMany(store, terms, 3)), 1);
    });
  });

  describe('overrides with more than limits', () => {
    test('say who set them, why and when, and are listed', async ({ store }) => {
      const override = { limits: [rate(4, MINUTE)], reason: 'launch day', author: 'kim' };
      await store.setOverride('acme', override);
      await store.setOverride('globex', { limits: [], others: { fileSize: { maxFile: 5 } } });
      await store.setOverride('initech', override);
      await store.setOverride('initech', null);
      const { setAt, ...stored } = (await store.override('acme'))!;
      assert.deepEqual(stored, override);
      assert.equal(typeof setAt, 'number');
      const listed = await store.overrides();
      assert.deepEqual(listed.map(({ customer }) => customer).sort(), ['acme', 'globex']);
      const { override: other } = listed.find(({ customer }) => customer === 'globex')!;
      assert.deepEqual(other.others, { fileSize: { maxFile: 5 } });
    });

    test('end when they said, and are told with the decision while they hold', async ({ store, advance }) => {
      const terms = { ...termsOf(rate(2, HOUR)), pendingMs: HOUR };
      await store.setOverride('acme', { limits: [rate(3, HOUR)] });
      const { setAt } = (await store.override('acme'))!;
      const until = { limits: [rate(4, HOUR)], expiresAt: setAt! + 10 * MINUTE };
      await store.setOverride('acme', until);
      const decision = await store.admit(request(terms));
      assert.equal(decision.override?.expiresAt, until.expiresAt);
      assert.equal((await store.usage('acme', terms.limits)).override?.expiresAt, until.expiresAt);
      assert.equal(allowedOf(await admitMany(store, terms, 5)), 3);
      await advance(10 * MINUTE);
      assert.equal(await store.override('acme'), null);
      assert.deepEqual(await store.overrides(), []);
      const after = await store.admit(request(terms));
      assert.equal(after.allowed, false);
      assert.equal(after.override, undefined);
      assert.equal(after.limits[0]!.limit, 2);
    });

    test('in shadow mode refuse nothing', async ({ store }) => {
      const terms = termsOf(rate(1, HOUR), slots(1));
      await store.setOverride('acme', { limits: [], mode: 'shadow' });
      const decisions = await admitMany(store, terms, 3);
      assert.equal(allowedOf(decisions), 3);
      assert.deepEqual(decisions[2]!.shadowed, ['creation-rate', 'concurrency']);
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 1, concurrency: 1 });
    });
  });

  describe('reconcile', () => {
    test('finishes running jobs that the host does not list, and only those', async ({ store, advance }) => {
      const terms = termsOf(slots(5));
      const [gone, kept, pending] = [request(terms), request(terms), request(terms)];
      for (const job of [gone, kept]) {
        await store.admit(job);
        await store.commit(job.ref);
      }
      await advance(10 * SECOND);
      await store.admit(pending);
      const answer = await store.reconcile('acme', [kept.ref.id], terms, 5 * SECOND);
      assert.deepEqual(answer, { finished: [gone.ref.id], restored: [] });
      assert.equal((await store.job(gone.ref))?.state, 'completed');
      assert.deepEqual(await usedOf(store, terms), { concurrency: 2 });
    });

    test('leaves jobs alone that are younger than the list may be', async ({ store }) => {
      const terms = termsOf(slots(5));
      const job = request(terms);
      await store.admit(job);
      await store.commit(job.ref);
      assert.deepEqual(await store.reconcile('acme', [], terms, MINUTE), { finished: [], restored: [] });
      assert.deepEqual(await usedOf(store, terms), { concurrency: 1 });
    });

    test('restores leases of jobs that run, known or not, beyond the limit if need be', async ({
      store,
      advance,
    }) => {
      const terms = termsOf(rate(9, HOUR), slots(1, { heartbeatMs: MINUTE }));
      const job = request(terms);
      await store.admit(job);
      await store.commit(job.ref);
      await advance(MINUTE);
      const { restored } = await store.reconcile('acme', [job.ref.id, 'forgotten'], terms, MINUTE);
      assert.deepEqual([...restored].sort(), ['forgotten', job.ref.id].sort());
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 1, concurrency: 2 });
      assert.equal(
        await store.finish({ customer: 'acme', id: 'forgotten' }, { state: 'completed' }),
        'finished',
      );
    });

    test('does not revive what is finished', async ({ store }) => {
      const terms = termsOf(slots(5));
      const job = request(terms);
      await store.admit(job);
      await store.finish(job.ref, { state: 'completed' });
      assert.deepEqual(await store.reconcile('acme', [job.ref.id], terms, 0), { finished: [], restored: [] });
    });
  });

  describe('the store itself', () => {
    test('limiter() counts requests on the same back end', async ({ store }) => {
      const limiter = store.limiter({ keyPrefix: 'contract', points: 2, duration: 60 });
      await limiter.consume('acme');
      await limiter.consume('acme');
      await assert.rejects(
        limiter.consume('acme'),
        (refusal: { msBeforeNext: number }) => refusal.msBeforeNext > 0,
      );
    });

    test('clear() forgets everything', async ({ store }) => {
      const terms = termsOf(rate(1, MINUTE), slots(1));
      const job = request(terms);
      await store.admit(job);
      await store.setOverride('globex', { limits: [rate(5, MINUTE)] });
      await store.clear();
      assert.equal(await store.job(job.ref), undefined);
      assert.equal(await store.override('globex'), null);
      assert.equal((await store.admit(request(terms))).allowed, true);
    });

    test('says so after close()', async ({ store }) => {
      await store.close();
      await assert.rejects(store.admit(request(termsOf(rate(1, MINUTE)))), { code: 'STORE_CLOSED' });
      await assert.rejects(store.finish({ customer: 'acme', id: 'x' }, { state: 'completed' }), {
        code: 'STORE_CLOSED',
      });
      await store.close();
    });
  });
}
