import fc from 'fast-check';
import {
  ManualClock,
  MemoryStore,
  type Amounts,
  type Clock,
  type Limit,
  type Override,
  type QuotaLimit,
  type Terms,
} from '../../../lib/index.js';
import { effective, NaiveQuotas } from './naive-quotas.js';

const HOUR = 3_600_000;
const PENDING = 30;

const quota = (name: string, unit: string, per: QuotaLimit['per'], limit: number): QuotaLimit => ({
  kind: 'quota',
  name,
  unit,
  per,
  limit,
  mode: 'enforce',
});

/** Every kind of limit, some of them in shadow, some left out. */
const plan = fc
  .record({
    numbers: fc.array(fc.integer({ min: 0, max: 12 }), { minLength: 7, maxLength: 7 }),
    shadow: fc.array(fc.integer({ min: 0, max: 4 }), { minLength: 7, maxLength: 7 }),
    left: fc.array(fc.integer({ min: 0, max: 3 }), { minLength: 7, maxLength: 7 }),
    retention: fc.boolean(),
  })
  .map(({ numbers, shadow, left, retention }): Terms => {
    const limits: Limit[] = [
      { kind: 'creation-rate', name: 'rate', limit: 1 + numbers[0]!, windowMs: 50, mode: 'enforce' },
      { kind: 'concurrency', name: 'slots', limit: 1 + numbers[1]!, maxRunMs: 1e9, mode: 'enforce' },
      quota('jobs-hour', 'jobs', 'hour', numbers[2]!),
      quota('seconds-day', 'seconds', 'day', 5 * numbers[3]!),
      quota('seconds-month', 'seconds', 'month', 9 * numbers[4]!),
      quota('jobs-stored', 'jobs', 'stored', numbers[5]!),
      quota('bytes-stored', 'bytes', 'stored', 5 * numbers[6]!),
    ];
    return {
      limits: limits
        .map((limit, i): Limit => (shadow[i] === 0 ? { ...limit, mode: 'shadow' } : limit))
        // The rate and the slots are in every plan, as they are in every plan there is.
        .filter((_, i) => i < 2 || left[i] !== 0),
      pendingMs: PENDING,
      rememberMs: 1e12,
      ...(retention && { retention: { resultsMs: 2 * HOUR, metadataMs: 2 * HOUR } }),
    };
  });

const amounts = fc.option(
  fc.record(
    { jobs: fc.nat(2), seconds: fc.nat(10), bytes: fc.nat(10), unheardOf: fc.nat(3) },
    { requiredKeys: [] },
  ),
  { nil: undefined },
);

const id = fc.nat(9).map((n) => `job-${n}`);
const run = fc.nat(1).map((n) => `run-${n}`);
const step = fc.oneof(
  { weight: 8, arbitrary: fc.record({ op: fc.constant('admit' as const), id, run, amounts }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('commit' as const), id, run }) },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('refund' as const), id, run }) },
  { weight: 4, arbitrary: fc.record({ op: fc.constant('finish' as const), id, units: amounts }) },
  { weight: 3, arbitrary: fc.record({ op: fc.constant('advance' as const), ms: fc.nat(25) }) },
  {
    weight: 3,
    arbitrary: fc.record({
      op: fc.constant('jump' as const),
      to: fc.constantFrom('hour', 'day', 'month', 'back'),
      by: fc.constantFrom(-1, 0, 1),
    }),
  },
  { weight: 2, arbitrary: fc.record({ op: fc.constant('sweep' as const) }) },
  { weight: 1, arbitrary: fc.record({ op: fc.constant('plan' as const), which: fc.nat(2) }) },
  {
    weight: 1,
    arbitrary: fc.record({
      op: fc.constant('override' as const),
      of: fc.option(fc.record({ limits: fc.array(fc.nat(20), { maxLength: 7 }), shadow: fc.boolean() })),
    }),
  },
);

/** The beginning of the next hour, day or month, or an hour earlier: a clock that was put right. */
function jumpFrom(wall: number, to: string): number {
  const date = new Date(wall);
  const [year, month, day] = [date.getUTCFullYear(), date.getUTCMonth(), date.getUTCDate()];
  if (to === 'hour') return Date.UTC(year, month, day, date.getUTCHours() + 1);
  if (to === 'day') return Date.UTC(year, month, day + 1);
  return to === 'month' ? Date.UTC(year, month + 1) : wall - HOUR;
}

it('quotas add up exactly, and a refused job changes nothing, whatever happens in between', async () => {
  const seen = { refused: 0, admitted: 0, replayed: 0, shadowed: 0 };
  await fc.assert(
    fc.asyncProperty(
      fc.array(plan, { minLength: 3, maxLength: 3 }),
      fc.array(step, { minLength: 20, maxLength: 120, size: 'max' }),
      async (plans, steps) => {
        const manual = new ManualClock({ wallNow: Date.UTC(2026, 0, 30, 22, 59, 59, 900) });
        // Nothing happens between the steps: the naive store has no housekeeping either.
        const clock: Clock = {
          now: () => manual.now(),
          wallNow: () => manual.wallNow(),
          every: () => () => undefined,
        };
        const store = new MemoryStore({ clock });
        const naive = new NaiveQuotas();
        const at = () => ({ now: manual.now(), date: manual.wallNow() });
        let terms = plans[0]!;
        let override: Override | null = null;
        const limits = () => effective(terms.limits, override);

        const usedNow = async () => (await store.usage('c', terms.limits)).limits.map(({ used }) => used);

        const admit = async (jobId: string, jobRun: string, cost: Amounts | undefined) => {
          const before = await usedNow();
          const expected = naive.expect(jobId, jobRun, limits(), cost, before);
          const decision = await store.admit({
            ref: { customer: 'c', id: jobId },
            run: jobRun,
            terms,
            ...(cost && { amounts: cost }),
          });
          const answer = !decision.allowed ? 'refused' : decision.replayed ? 'replayed' : 'admitted';
          expect(answer).toBe(expected.answer);
          seen[answer] += 1;
          const after = await usedNow();
          const growth = limits().map(({ name }) => expected.growth[name] ?? 0);
          expect(after).toEqual(before.map((used, i) => used + growth[i]!));
          if (!decision.allowed) expect([...decision.violated].sort()).toEqual([...expected.violated].sort());
          if (answer === 'replayed') return;
          expect(decision.limits.map(({ used }) => used)).toEqual(after);
          expect([...decision.shadowed].sort()).toEqual([...expected.shadowed].sort());
          seen.shadowed += decision.shadowed.length;
          if (answer === 'admitted') naive.admit(jobId, jobRun, terms, limits(), cost, expected.growth, at());
        };

        const sweep = async () => {
          for (;;) {
            const claims = await store.claim({ shard: 0, limit: 100, leaseMs: 1000 });
            if (claims.length === 0) break;
            await store.confirm(claims);
          }
          naive.sweep(at());
        };

        for (const of of steps) {
          if (of.op === 'admit') await admit(of.id, of.run, of.amounts);
          if (of.op === 'commit')
            expect(await store.commit({ customer: 'c', id: of.id }, of.run)).toBe(
              naive.commit(of.id, of.run, at()),
            );
          if (of.op === 'refund')
            expect(await store.refund({ customer: 'c', id: of.id }, of.run)).toBe(
              naive.refund(of.id, of.run),
            );
          if (of.op === 'finish') {
            const late = naive.isOld(of.id, at());
            const answer = await store.finish(
              { customer: 'c', id: of.id },
              { state: 'completed', ...(of.units && { units: of.units }) },
            );
            const expected = naive.finish(of.id, of.units, at());
            expect(late && answer === 'unsettled' ? 'finished' : answer).toBe(expected);
          }
          if (of.op === 'advance') {
            manual.advance(of.ms);
            naive.settle(at());
          }
          if (of.op === 'jump') manual.setWall(jumpFrom(manual.wallNow(), of.to) + of.by);
          if (of.op === 'sweep') await sweep();
          if (of.op === 'plan') terms = plans[of.which]!;
          if (of.op === 'override') {
            const numbers = of.of?.limits;
            override =
              numbers === undefined
                ? null
                : {
                    limits: plans[0]!.limits.flatMap((limit, i) =>
                      numbers[i] === undefined ? [] : [{ ...limit, limit: numbers[i] }],
                    ),
                    ...(of.of!.shadow && { mode: 'shadow' as const }),
                  };
            await store.setOverride('c', override);
          }
          const used = await usedNow();
          limits().forEach((limit, i) => {
            if (limit.kind !== 'creation-rate')
              expect([limit.name, used[i]]).toEqual([limit.name, naive.used(limit, at())]);
          });
        }
      },
    ),
    { numRuns: 100 },
  );
  // Not all of it may be refused, or let through.
  for (const count of Object.values(seen)) expect(count).toBeGreaterThan(100);
});
