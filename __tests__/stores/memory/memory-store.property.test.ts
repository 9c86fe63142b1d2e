import fc from 'fast-check';
import { ManualClock, MemoryStore, type Clock, type Terms } from '../../../lib/index.js';
import { NaiveStore } from './naive-store.js';

const WINDOW = 20;
const PENDING = 6;
const HEARTBEAT = 9;
const MAX_RUN = 30;

const step = fc.oneof(
  { weight: 6, arbitrary: fc.record({ op: fc.constant('admit' as const), id: fc.nat(11), run: fc.nat(1) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('commit' as const), id: fc.nat(11), run: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('refund' as const), id: fc.nat(11), run: fc.nat(1) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('renew' as const), id: fc.nat(11) }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('finish' as const), id: fc.nat(11) }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('advance' as const), ms: fc.nat(8) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('retry' as const) }) },
);

/** Time that only the test moves, and no housekeeping between its steps, which the naive store has not either. */
function stillClock(): { clock: Clock; manual: ManualClock } {
  const manual = new ManualClock();
  return {
    manual,
    clock: { now: () => manual.now(), wallNow: () => manual.wallNow(), every: () => () => undefined },
  };
}

it('MemoryStore answers as a store that goes through all there ever was', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 5 }),
      fc.integer({ min: 1, max: 6 }),
      fc.array(step, { minLength: 1, maxLength: 80, size: 'max' }),
      async (limit, slots, steps) => {
        const { clock, manual } = stillClock();
        const store = new MemoryStore({ clock });
        const terms: Terms = {
          limits: [
            { kind: 'creation-rate', name: 'rate', limit, windowMs: WINDOW, mode: 'enforce' },
            {
              kind: 'concurrency',
              name: 'slots',
              limit: slots,
              maxRunMs: MAX_RUN,
              heartbeatMs: HEARTBEAT,
              mode: 'enforce',
            },
          ],
          pendingMs: PENDING,
          rememberMs: 1e9,
        };
        const naive = new NaiveStore(limit, WINDOW, slots, MAX_RUN, HEARTBEAT, terms);
        let fresh = 0;

        const admit = async (id: string, run: string) => {
          const decision = await store.admit({ ref: { customer: 'c', id }, run, terms });
          const expected = naive.admit(id, run, manual.now());
          const answer = !decision.allowed ? 'refused' : decision.replayed ? 'replayed' : 'admitted';
          expect(answer).toBe(expected.answer);
          if (decision.allowed || expected.retryAfterMs === undefined) return undefined;
          expect(decision.retryAfterMs).toBe(expected.retryAfterMs);
          return decision.retryAfterMs;
        };

        /** Both stores see the time at the same moments: what lapses is given back when it is noticed. */
        const advance = async (ms: number) => {
          manual.advance(ms);
          naive.settle(manual.now());
          await store.usage('c', []);
        };
        const another = () => admit(`fresh-${(fresh += 1)}`, 'run');
        const hasSlot = () => naive.held(manual.now()) < slots;

        /** A retry a millisecond before the told time is refused still, and one at that time passes. */
        const retry = async () => {
          const wait = await another();
          if (wait === undefined) return;
          await advance(wait - 1);
          if (naive.rate(manual.now()).length < limit || !hasSlot()) return;
          expect(await another()).toBe(1);
          await advance(1);
          expect(await another()).toBeUndefined();
          expect(naive.find(`fresh-${fresh}`)?.state).toBe('pending');
        };

        for (const { op, ...of } of steps) {
          const ref = { customer: 'c', id: `job-${'id' in of ? of.id : ''}` };
          const run = `run-${'run' in of ? of.run : ''}`;
          const now = manual.now();
          if (op === 'advance' && 'ms' in of) await advance(of.ms);
          if (op === 'retry') await retry();
          if (op === 'admit') await admit(ref.id, run);
          if (op === 'commit') expect(await store.commit(ref, run)).toBe(naive.commit(ref.id, run, now));
          if (op === 'refund') expect(await store.refund(ref, run)).toBe(naive.refund(ref.id, run, now));
          if (op === 'renew') expect(await store.renew(ref)).toBe(naive.renew(ref.id, now));
          if (op === 'finish') {
            expect(await store.finish(ref, { state: 'completed' })).toBe(naive.finish(ref.id, now));
          }
          const { limits, running } = await store.usage('c', terms.limits);
          expect(limits.map(({ used }) => used)).toEqual([
            naive.rate(manual.now()).length,
            naive.held(manual.now()),
          ]);
          expect(running).toHaveLength(naive.held(manual.now()));
        }
      },
    ),
    { numRuns: 150 },
  );
});

it('never more than the limit in any true window, however admissions and refunds come', async () => {
  await fc.assert(
    fc.asyncProperty(
      fc.integer({ min: 1, max: 20 }),
      fc.array(fc.record({ gap: fc.double({ min: 0, max: 7, noNaN: true }), refund: fc.boolean() }), {
        minLength: 50,
        maxLength: 300,
        size: 'max',
      }),
      async (limit, attempts) => {
        const { clock, manual } = stillClock();
        const store = new MemoryStore({ clock });
        const terms: Terms = {
          limits: [{ kind: 'creation-rate', name: 'rate', limit, windowMs: 50, mode: 'enforce' }],
          pendingMs: 1e6,
          rememberMs: 1e6,
        };
        const kept: number[] = [];
        for (const [i, { gap, refund }] of attempts.entries()) {
          manual.advance(gap);
          const ref = { customer: 'c', id: `job-${i}` };
          const { allowed } = await store.admit({ ref, run: ref.id, terms });
          if (allowed && refund) await store.refund(ref, ref.id);
          else if (allowed) kept.push(manual.now());
        }
        for (let i = limit; i < kept.length; i += 1)
          expect(kept[i]! - kept[i - limit]!).toBeGreaterThanOrEqual(50);
      },
    ),
    { numRuns: 200 },
  );
});
