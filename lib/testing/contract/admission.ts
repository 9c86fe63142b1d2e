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

export function admissionContract({ describe, test }: Suite): void {
  describe('admit', () => {
    test('allows exactly the limit of the rate, then refuses until the window has passed', async ({
      store,
      advance,
    }) => {
      const terms = termsOf(rate(5, MINUTE));
      assert.equal(allowedOf(await admitMany(store, terms, 8)), 5);
      await advance(MINUTE - SECOND);
      assert.equal(allowedOf(await admitMany(store, terms, 1)), 0);
      await advance(SECOND);
      assert.equal(allowedOf(await admitMany(store, terms, 8)), 5);
    });

    test('counts in every stretch of the window, not in aligned ones', async ({ store, advance }) => {
      const terms = termsOf(rate(4, MINUTE));
      await admitMany(store, terms, 1);
      await advance(MINUTE - 10 * SECOND);
      assert.equal(allowedOf(await admitMany(store, terms, 9)), 3);
      await advance(20 * SECOND);
      assert.equal(allowedOf(await admitMany(store, terms, 9)), 1);
    });

    test('refuses a rate with the wait after which a retry passes', async ({ store, advance }) => {
      const terms = termsOf(rate(1, MINUTE));
      await admitMany(store, terms, 1);
      await advance(20 * SECOND);
      const refused = await store.admit(request(terms));
      assert.ok(!refused.allowed);
      assert.equal(refused.code, 'RATE_LIMIT_REACHED');
      assert.equal(refused.limit, 'creation-rate');
      assert.ok(refused.retryAfterMs !== undefined && refused.retryAfterMs <= 40 * SECOND);
      assert.ok(refused.retryAfterMs > 39 * SECOND);
      await advance(refused.retryAfterMs);
      assert.equal((await store.admit(request(terms))).allowed, true);
    });

    test('allows as many running jobs as there are slots, and says that the wait is an estimate', async ({
      store,
    }) => {
      const terms = termsOf(slots(3));
      assert.equal(allowedOf(await admitMany(store, terms, 5)), 3);
      const refused = await store.admit(request(terms));
      assert.ok(!refused.allowed && refused.estimated === true);
      assert.ok(refused.retryAfterMs! >= SECOND && refused.retryAfterMs! <= MINUTE);
    });

    test('charges all limits or none', async ({ store }) => {
      const terms = termsOf(rate(10, MINUTE), slots(2));
      const decisions = await admitMany(store, terms, 6);
      assert.equal(allowedOf(decisions), 2);
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 2, concurrency: 2 });
    });

    test('names every limit that refused, and the longest wait', async ({ store }) => {
      const terms = termsOf(rate(1, SECOND * 30, { name: 'burst' }), rate(1, HOUR, { name: 'hourly' }));
      await admitMany(store, terms, 1);
      const refused = await store.admit(request(terms));
      assert.ok(!refused.allowed);
      assert.deepEqual([...refused.violated].sort(), ['burst', 'hourly']);
      assert.equal(refused.limit, 'hourly');
      assert.ok(refused.retryAfterMs! > HOUR - SECOND);
    });

    test('a limit of 0 blocks, whatever else refuses', async ({ store }) => {
      const refused = await store.admit(request(termsOf(rate(0, MINUTE), slots(0))));
      assert.ok(!refused.allowed);
      assert.equal(refused.code, 'LIMIT_BLOCKED');
      assert.equal(refused.retryAfterMs, undefined);
    });

    test('an infinite limit counts slots and refuses nothing', async ({ store }) => {
      const terms = termsOf(rate(Infinity, MINUTE), slots(Infinity));
      assert.equal(allowedOf(await admitMany(store, terms, 20)), 20);
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 0, concurrency: 20 });
    });

    test('reports the state of each limit after the charge', async ({ store }) => {
      const terms = termsOf(rate(5, MINUTE), slots(3));
      const decision = (await admitMany(store, terms, 2))[1]!;
      const [first, second] = decision.limits;
      assert.deepEqual([first!.limit, first!.used, first!.remaining, first!.windowMs], [5, 2, 3, MINUTE]);
      assert.ok(first!.resetAfterMs! > MINUTE - SECOND && first!.resetAfterMs! <= MINUTE);
      assert.deepEqual([second!.limit, second!.used, second!.remaining], [3, 2, 1]);
    });

    test('customers do not touch each other', async ({ store }) => {
      const terms = termsOf(rate(1, MINUTE), slots(1));
      assert.equal(allowedOf(await admitMany(store, terms, 2, 'acme')), 1);
      assert.equal(allowedOf(await admitMany(store, terms, 2, 'globex')), 1);
    });

    test('counters of one name and different keys are apart', async ({ store }) => {
      const keyed = (key: string) => termsOf(rate(1, MINUTE, { key }), slots(1, { key }));
      assert.equal(allowedOf(await admitMany(store, keyed('whisper'), 2)), 1);
      assert.equal(allowedOf(await admitMany(store, keyed('nova'), 2)), 1);
    });

    test('a shadow limit decides and reports, refuses nothing and is not charged beyond its limit', async ({
      store,
    }) => {
      const terms = termsOf(rate(2, MINUTE, { mode: 'shadow' }), slots(3));
      const decisions = await admitMany(store, terms, 3);
      assert.deepEqual(
        decisions.map(({ shadowed }) => [...shadowed]),
        [[], [], ['creation-rate']],
      );
      assert.equal(allowedOf(decisions), 3);
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 2, concurrency: 3 });
    });

    test('many at once are admitted up to the limit and no further', async ({ store }) => {
      const terms = termsOf(rate(20, MINUTE), slots(15));
      const decisions = await Promise.all(Array.from({ length: 60 }, () => store.admit(request(terms))));
      assert.equal(allowedOf(decisions), 15);
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 15, concurrency: 15 });
    });

    test('the same id and run at once is one job', async ({ store }) => {
      const terms = termsOf(rate(20, MINUTE), slots(15));
      const again = request(terms);
      const decisions = await Promise.all(Array.from({ length: 10 }, () => store.admit(again)));
      assert.ok(decisions.every((decision) => decision.allowed && !decision.replayed));
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 1, concurrency: 1 });
    });

    test('of one id and many runs at once, one is admitted and the others are replays', async ({ store }) => {
      const terms = termsOf(rate(20, MINUTE));
      const runs = Array.from({ length: 10 }, (_, i) => request(terms, 'acme', 'same', `run-${i}`));
      const decisions = await Promise.all(runs.map((run) => store.admit(run)));
      assert.equal(decisions.filter((decision) => decision.allowed && !decision.replayed).length, 1);
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 1 });
    });

    test('a replay is told the run that the job was admitted for, in every state', async ({ store }) => {
      const terms = termsOf(rate(20, MINUTE), slots(15));
      const admitted = request(terms, 'acme', 'same', 'first.run');
      const runOfReplay = async (): Promise<string | undefined> => {
        const decision = await store.admit({ ...admitted, run: 'another' });
        return decision.allowed && decision.replayed ? decision.run : undefined;
      };
      await store.admit(admitted);
      assert.equal(await runOfReplay(), 'first.run');
      await store.commit(admitted.ref, admitted.run);
      assert.equal(await runOfReplay(), 'first.run');
      await store.finish(admitted.ref, { state: 'completed' });
      assert.equal(await runOfReplay(), 'first.run');
      const own = request(terms, 'acme', 'named as its run', 'named as its run');
      await store.admit(own);
      const replay = await store.admit({ ...own, run: 'another' });
      assert.ok(replay.allowed && replay.replayed);
      assert.equal(replay.run, own.run);
    });

    test('a run adds limits to its own job, all or none', async ({ store }) => {
      const first = request(termsOf(rate(5, MINUTE)));
      await store.admit(first);
      const more = termsOf(rate(5, MINUTE), slots(1), rate(1, HOUR, { name: 'hourly' }));
      const added = await store.admit({ ...first, terms: more });
      assert.equal(added.allowed, true);
      assert.deepEqual(
        added.limits.map(({ used }) => used),
        [1, 1, 1],
      );
      const other = request(termsOf(rate(5, MINUTE)));
      await store.admit(other);
      assert.equal((await store.admit({ ...other, terms: more })).allowed, false);
      assert.deepEqual(await usedOf(store, more), { 'creation-rate': 2, concurrency: 1, hourly: 1 });
      assert.equal(await store.refund(first.ref, first.run), 'refunded');
      assert.deepEqual(await usedOf(store, more), { 'creation-rate': 1, concurrency: 0, hourly: 0 });
    });

    test('of two limits of one name that a run brings, both hold', async ({ store }) => {
      const [wide, narrow] = [termsOf(rate(5, MINUTE), slots(5)), termsOf(rate(1, MINUTE), slots(1))];
      const [first, second] = [request(wide), request(wide)];
      for (const job of [first, second]) await store.admit(job);
      assert.equal((await store.admit({ ...second, terms: narrow })).allowed, false);
      await store.refund(second.ref, second.run);
      assert.equal((await store.admit({ ...first, terms: narrow })).allowed, true);
      assert.deepEqual(await usedOf(store, wide), { 'creation-rate': 1, concurrency: 1 });
    });

    test('a limit added to a job whose own of that name is infinite is charged', async ({ store }) => {
      const infinite = termsOf(rate(Infinity, MINUTE), slots(5));
      for (const allowed of [true, true, false]) {
        const job = request(infinite);
        await store.admit(job);
        assert.equal((await store.admit({ ...job, terms: termsOf(rate(2, MINUTE)) })).allowed, allowed);
      }
    });

    test('a refunded rate of an added limit comes back too', async ({ store }) => {
      const job = request(termsOf(rate(Infinity, MINUTE)));
      await store.admit(job);
      const added = termsOf(rate(2, MINUTE));
      await store.admit({ ...job, terms: added });
      await store.refund(job.ref, job.run);
      assert.deepEqual(await usedOf(store, added), { 'creation-rate': 0 });
    });

    test('adopts a job that exists, beyond the limit if need be and without charging its rate', async ({
      store,
    }) => {
      const terms = termsOf(rate(1, MINUTE), slots(1));
      await admitMany(store, terms, 1);
      const job = { ...request(terms, 'acme', 'made-elsewhere', 'run'), adopt: true };
      const decisions = await Promise.all([store.admit(job), store.admit(job)]);
      assert.ok(decisions.every((decision) => decision.allowed && !decision.replayed));
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 1, concurrency: 2 });
      assert.equal(await store.commit(job.ref, job.run), 'committed');
      assert.equal(await store.finish(job.ref, { state: 'completed' }), 'finished');
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 1, concurrency: 1 });
      const other = { ...request(terms), adopt: true };
      await store.admit(other);
      assert.equal(await store.refund(other.ref, other.run), 'refunded');
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 1, concurrency: 1 });
    });

    test('adopting a job that is known changes nothing', async ({ store }) => {
      const terms = termsOf(rate(5, MINUTE), slots(5));
      const job = request(terms);
      await store.admit(job);
      await store.admit({ ...job, adopt: true });
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 1, concurrency: 1 });
      await store.finish(job.ref, { state: 'failed' });
      await store.admit({ ...job, adopt: true });
      assert.equal((await store.job(job.ref))?.state, 'failed');
      assert.deepEqual(await usedOf(store, terms), { 'creation-rate': 1, concurrency: 0 });
    });

    test('ids of any content are kept apart', async ({ store }) => {
      const terms = termsOf(rate(1, MINUTE));
      const odd = [
        '__proto__',
        'constructor',
        'a:b',
        'a',
        '{x}',
        '%s',
        '\u0000',
        '\n',
        'ü',
        'u\u0308',
        '💥',
        ' ',
        'x'.repeat(512),
      ];
      for (const id of odd) {
        const job = request(terms, id, id, id);
        assert.equal((await store.admit(job)).allowed, true, JSON.stringify(id));
        assert.equal((await store.job(job.ref))?.ref.id, id);
        assert.equal((await store.admit(request(terms, id))).allowed, false, JSON.stringify(id));
      }
    });
  });
}
