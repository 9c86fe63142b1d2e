import fc from 'fast-check';
import { Redis } from 'ioredis';
import { ManualClock } from '../../../lib/clock.js';
import { MemoryStore } from '../../../lib/stores/memory/memory-store.js';
import { RedisStore } from '../../../lib/stores/redis/redis-store.js';
import type { Claim, LimitStore, Override, QuotaLimit, Terms } from '../../../lib/stores/store.js';
import { HOUR, MINUTE, rate, SECOND, slots, termsOf } from '../../../lib/testing/harness.js';
import { RedisServer } from '../../support/redis-server.js';
import { describeWithRedis } from '../../support/with-redis.js';

const quota = (unit: string, limit: number, per: QuotaLimit['per'], more = {}): QuotaLimit => ({
  kind: 'quota',
  name: `${unit} per ${per}`,
  unit,
  per,
  limit,
  mode: 'enforce',
  ...more,
});
const quotas = [
  quota('jobs', 4, 'hour'),
  quota('seconds', 150, 'day'),
  quota('bytes', 60, 'stored'),
  quota('pages', 5, 'month', { mode: 'shadow' }),
];

/** Terms that differ in everything that a customer's jobs may differ in. */
const plans: Terms[] = [
  {
    ...termsOf(rate(3, 20 * SECOND), slots(2, { maxRunMs: MINUTE, heartbeatMs: 15 * SECOND })),
    pendingMs: 10 * SECOND,
    retention: {
      resultsMs: 20 * SECOND,
      metadataMs: 70 * SECOND,
      failed: { resultsMs: 10 * SECOND, metadataMs: 10 * SECOND },
      noticeMs: 5 * SECOND,
    },
  },
  {
    ...termsOf(rate(2, 7 * SECOND, { name: 'burst' }), rate(4, 30 * SECOND, { name: 'slow' })),
    pendingMs: 5 * SECOND,
  },
  {
    ...termsOf(
      slots(1, { name: 'by-model', key: 'whisper' }),
      slots(3),
      rate(2, 20 * SECOND, { name: 'watched', mode: 'shadow' }),
    ),
    plan: 'pro',
    pendingMs: 8 * SECOND,
  },
  {
    ...termsOf(slots(3, { maxRunMs: MINUTE }), ...quotas),
    pendingMs: 10 * SECOND,
    retention: { resultsMs: 30 * SECOND, metadataMs: 45 * SECOND },
  },
  { ...termsOf(...quotas.slice(1), rate(5, 40 * SECOND)), pendingMs: 10 * SECOND },
];
// Overrides of slots only: when several jobs lapse at once, which is refunded first is nobody's promise, and shows where
// they were charged by different numbers.
const overrides: (Override | null)[] = [
  null,
  { limits: [slots(1)], reason: 'késő', author: 'kim' },
  { limits: [slots(4, { maxRunMs: 30 * SECOND }), quota('seconds', 90, 'day'), quota('jobs', 9, 'hour')] },
  { limits: [], mode: 'shadow', others: { 'file-size': { maxFile: 1 } } },
];

const ref = (id: number) => ({ customer: 'acme', id: `job-${id}` });
const MOST_ID = 4;
const id = fc.integer({ min: 0, max: MOST_ID });
const run = fc.constantFrom('a', 'b');
const plan = fc.integer({ min: 0, max: plans.length - 1 });
const units = fc.option(
  fc.record(
    { seconds: fc.nat({ max: 70 }), bytes: fc.nat({ max: 30 }), pages: fc.nat({ max: 3 }), jobs: fc.nat(2) },
    { requiredKeys: [] },
  ),
  { nil: undefined },
);
const used = (of: object | undefined): string => JSON.stringify(of) ?? '';

/** Every claim that a store gave, in an order that is the same for all. */
const claimed = new WeakMap<LimitStore, Claim[]>();
const taskOf = ({ job, due }: Claim): string => `${job.ref.id} ${due}`;
const index = fc.nat({ max: 20 });

async function claim(store: LimitStore, leaseMs: number): Promise<unknown> {
  const claims: Claim[] = [];
  for (let shard = 0; shard < store.shards; shard += 1) {
    claims.push(...(await store.claim({ shard, limit: 100, leaseMs })));
  }
  claims.sort((a, b) => taskOf(a).localeCompare(taskOf(b)));
  claimed.set(store, [...(claimed.get(store) ?? []), ...claims]);
  expect(new Set(claims.map(({ id }) => id)).size).toBe(claims.length);
  return claims.map(({ job, due, tries }) => ({ job, due, tries }));
}

async function withClaim(
  store: LimitStore,
  i: number,
  use: (claim: Claim) => Promise<unknown>,
): Promise<unknown> {
  const claims = claimed.get(store) ?? [];
  const one = claims[claims.length - 1 - (i % claims.length)];
  return one && [taskOf(one), await use(one)];
}

type Step = (store: LimitStore) => Promise<unknown>;
interface Move {
  name: string;
  step: Step;
  seconds: number;
}

const move = (name: string, step: Step, seconds = 0): Move => ({ name, step, seconds });

const moves: fc.Arbitrary<Move> = fc.oneof(
  {
    weight: 5,
    arbitrary: fc
      .tuple(id, run, plan, units)
      .map(([i, r, p, amounts]) =>
        move(`admit ${i} ${r} ${p} ${used(amounts)}`, (store) =>
          store.admit({ ref: ref(i), run: r, terms: plans[p]!, ...(amounts && { amounts }) }),
        ),
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(id, run, plan, units)
      .map(([i, r, p, amounts]) =>
        move(`adopt ${i} ${r} ${p} ${used(amounts)}`, (store) =>
          store.admit({ ref: ref(i), run: r, terms: plans[p]!, adopt: true, ...(amounts && { amounts }) }),
        ),
      ),
  },
  {
    weight: 3,
    arbitrary: fc
      .tuple(id, run)
      .map(([i, r]) => move(`commit ${i} ${r}`, (store) => store.commit(ref(i), r))),
  },
  {
    weight: 2,
    arbitrary: fc
      .tuple(id, run)
      .map(([i, r]) => move(`refund ${i} ${r}`, (store) => store.refund(ref(i), r))),
  },
  { weight: 2, arbitrary: id.map((i) => move(`renew ${i}`, (store) => store.renew(ref(i)))) },
  {
    weight: 2,
    arbitrary: fc
      .tuple(id, units)
      .map(([i, actual]) =>
        move(`finish known ${i} ${used(actual)}`, async (store) =>
          (await store.job(ref(i)))
            ? store.finish(ref(i), { state: 'failed', ...(actual && { units: actual }) })
            : 'unknown',
        ),
      ),
  },
  {
    weight: 1,
    arbitrary: fc.tuple(fc.uniqueArray(id), plan).map(([ids, p]) =>
      move(`reconcile ${ids.join()} ${p}`, async (store) => {
        const { finished, restored } = await store.reconcile(
          'acme',
          ids.map((i) => ref(i).id),
          plans[p]!,
          5 * SECOND,
        );
        return [finished.sort(), restored.sort()];
      }),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .integer({ min: 0, max: overrides.length - 1 })
      .map((i) => move(`override ${i}`, (store) => store.setOverride('acme', overrides[i]!))),
  },
  {
    weight: 2,
    arbitrary: fc.tuple(id, fc.constantFrom('completed', 'overrun'), fc.boolean()).map(([i, state, own]) =>
      move(`finish ${i} ${state} ${own}`, async (store) =>
        store.finish(ref(i), {
          state,
          ...((own || (await store.job(ref(i))) === undefined) && {
            retention: { resultsMs: 15 * SECOND, metadataMs: 40 * SECOND },
          }),
        }),
      ),
    ),
  },
  {
    weight: 3,
    arbitrary: fc
      .constantFrom(2, 8)
      .map((seconds) => move(`claim ${seconds}`, (store) => claim(store, seconds * SECOND))),
  },
  {
    weight: 3,
    arbitrary: index.map((i) =>
      move(`confirm ${i}`, (store) => withClaim(store, i, (one) => store.confirm([one]))),
    ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(index, fc.constantFrom(3, null))
      .map(([i, seconds]) =>
        move(`postpone ${i} ${seconds}`, (store) =>
          withClaim(store, i, (one) => store.postpone(one, seconds && seconds * SECOND)),
        ),
      ),
  },
  { weight: 1, arbitrary: id.map((i) => move(`pin ${i}`, (store) => store.pin(ref(i), 'why; not'))) },
  { weight: 1, arbitrary: id.map((i) => move(`unpin ${i}`, (store) => store.unpin(ref(i)))) },
  {
    weight: 1,
    arbitrary: fc
      .tuple(id, fc.integer({ min: -20, max: 90 }))
      .map(([i, seconds]) =>
        move(`extend ${i} ${seconds}`, async (store) =>
          store.extend(ref(i), ((await store.job(ref(i)))?.resultsExpireAt ?? 0) + seconds * SECOND + 500),
        ),
      ),
  },
  {
    weight: 1,
    arbitrary: fc
      .tuple(id, fc.boolean())
      .map(([i, force]) => move(`expire ${i} ${force}`, (store) => store.expireNow(ref(i), force))),
  },
  {
    weight: 4,
    arbitrary: fc
      .integer({ min: 1, max: 25 })
      .map((seconds) => move(`wait ${seconds}`, async () => undefined, seconds)),
  },
);

/** What was received, with times that are off by less than a second put right: Redis's clock goes on meanwhile. */
function aligned(received: unknown, expected: unknown): unknown {
  if (typeof received === 'number' && typeof expected === 'number') {
    return Math.abs(received - expected) < SECOND && received > 100 ? expected : received;
  }
  if (typeof received !== 'object' || received === null) return received;
  const other = (expected ?? {}) as Record<string, unknown>;
  const members = Object.entries(received).map(([name, value]) => [name, aligned(value, other[name])]);
  return Array.isArray(received) ? members.map(([, value]) => value) : Object.fromEntries(members);
}

const sorted = (running: { ref: { id: string } }[]) =>
  [...running].sort((a, b) => a.ref.id.localeCompare(b.ref.id));

describeWithRedis('RedisStore and MemoryStore', () => {
  let server: RedisServer;
  let client: Redis;
  let made = 0;

  beforeAll(async () => {
    server = await RedisServer.start();
    client = new Redis(server.port);
  });
  afterAll(async () => {
    client.disconnect();
    await server.stop();
  });

  test('give the same answers to the same story', async () => {
    await fc.assert(
      fc.asyncProperty(fc.array(moves, { minLength: 5, maxLength: 60 }), async (story) => {
        // Before the end of an hour, and between two seconds, where Redis's clock may go on a little.
        const start = Math.ceil(Date.now() / HOUR) * HOUR - MINUTE + 500;
        const clock = new ManualClock({ now: start, wallNow: start });
        let offset = start - Date.now();
        // Without housekeeping, which would notice lapsed leases between two steps, and so sooner than Redis.
        const still = {
          now: () => clock.now(),
          wallNow: () => clock.wallNow(),
          every: () => () => undefined,
        };
        const memory = new MemoryStore({ clock: still });
        const redis = new RedisStore({
          client,
          prefix: `story-${(made += 1)}`,
          refusalCache: false,
          timeOffsetMs: () => offset,
        });
        const told: string[] = [];
        for (const { name, step, seconds } of story) {
          told.push(name);
          clock.advance(seconds * SECOND);
          offset += seconds * SECOND;
          const [expected, received] = [await step(memory), await step(redis)];
          expect({ told, answer: aligned(received, expected) }).toEqual({ told, answer: expected });
          for (const { limits } of plans) {
            const [memoryUsage, redisUsage] = [
              await memory.usage('acme', limits, 9),
              await redis.usage('acme', limits, 9),
            ];
            const [remembered, kept] = [memoryUsage, redisUsage].map((usage) => ({
              ...usage,
              running: sorted(usage.running),
              kept: sorted(usage.kept),
            }));
            expect({ told, usage: aligned(kept, remembered) }).toEqual({ told, usage: remembered });
          }
          for (let i = 0; i <= MOST_ID; i += 1) {
            const [remembered, stored] = [await memory.job(ref(i)), await redis.job(ref(i))];
            expect({ told, job: aligned(stored, remembered) }).toEqual({ told, job: remembered });
          }
        }
      }),
      { numRuns: Number(process.env['PROPERTY_RUNS'] ?? 60) },
    );
  }, 120_000);
});
