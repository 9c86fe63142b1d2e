import { jobLimits, ManualClock, type LimitsEvents, type PlanOf } from '../../lib/index.js';
import { Lookups } from '../../lib/plans/lookups.js';
import { deferred } from '../support/apps.js';

const MINUTE = 60_000;
const HOUR = 60 * MINUTE;

describe('which plan a customer has', () => {
  const plans = {
    free: { concurrency: { limit: 1 } },
    pro: { concurrency: { limit: 2 } },
  };

  function host(plan: PlanOf) {
    const clock = new ManualClock();
    const limits = jobLimits({ clock, customer: () => 'acme', plans, plan });
    const stale: LimitsEvents['plan-stale'][] = [];
    limits.on('plan-stale', (event) => stale.push(event));
    return { clock, limits, stale, planOf: async (who = 'acme') => (await limits.usageOf(who)).plan };
  }

  /** A database that can be down. */
  function accounts() {
    const state = { tier: 'free', down: false, asked: 0 };
    const plan: PlanOf = async () => {
      state.asked += 1;
      if (state.down) throw new Error('the database is down');
      return state.tier;
    };
    return { state, plan };
  }

  it('is kept for a minute', async () => {
    const { state, plan } = accounts();
    const { clock, limits, planOf } = host(plan);
    expect(await planOf()).toBe('free');
    state.tier = 'pro';
    clock.advance(MINUTE - 1);
    expect(await planOf()).toBe('free');
    clock.advance(1);
    expect(await planOf()).toBe('pro');
    expect(state.asked).toBe(2);
    await limits.close();
  });

  it('goes on as last known while the lookup fails, for an hour, and tells of it', async () => {
    const { state, plan } = accounts();
    const { clock, limits, stale, planOf } = host(plan);
    await planOf();
    state.down = true;
    clock.advance(MINUTE);
    expect(await planOf()).toBe('free');
    expect(stale).toEqual([
      { customer: 'acme', error: expect.objectContaining({ code: 'PLAN_FAILED' }) as unknown },
    ]);
    // Not asked again at once: what is down must not be asked for every request.
    expect(await planOf()).toBe('free');
    expect(state.asked).toBe(2);
    clock.advance(5_000);
    expect(await planOf()).toBe('free');
    expect([state.asked, stale.length]).toEqual([3, 2]);
    clock.advance(HOUR - 5_001);
    expect(await planOf()).toBe('free');
    clock.advance(5_000);
    await expect(planOf()).rejects.toMatchObject({ code: 'PLAN_FAILED', status: 500 });
    state.down = false;
    expect(await planOf()).toBe('free');
    await limits.close();
  });

  it('is looked up anew as soon as that works again', async () => {
    const { state, plan } = accounts();
    const { clock, limits, stale, planOf } = host(plan);
    await planOf();
    Object.assign(state, { down: true, tier: 'pro' });
    clock.advance(MINUTE);
    expect(await planOf()).toBe('free');
    state.down = false;
    clock.advance(5_000);
    expect(await planOf()).toBe('pro');
    expect(stale).toHaveLength(1);
    await limits.close();
  });

  it('is unknown where it was never known', async () => {
    const { state, plan } = accounts();
    const { limits, stale, planOf } = host(plan);
    state.down = true;
    await expect(planOf()).rejects.toMatchObject({ code: 'PLAN_FAILED' });
    expect(stale).toEqual([]);
    await limits.close();
  });

  it('a wrong answer is an error at once, and is not kept', async () => {
    const { state, plan } = accounts();
    const { clock, limits, stale, planOf } = host(plan);
    await planOf();
    state.tier = 'gold';
    clock.advance(MINUTE);
    await expect(planOf()).rejects.toMatchObject({ code: 'PLAN_UNKNOWN' });
    state.tier = 'pro';
    expect(await planOf()).toBe('pro');
    expect(stale).toEqual([]);
    await limits.close();
  });

  it('goes on also after setPlans, by the new plans', async () => {
    const { state, plan } = accounts();
    const { limits, stale, planOf } = host(plan);
    await planOf();
    state.down = true;
    limits.setPlans({ free: { concurrency: { limit: 7 } } });
    expect((await limits.usageOf('acme')).limits.at(-1)!.limit).toBe(7);
    expect(stale).toHaveLength(1);
    await limits.reset();
    await expect(planOf()).rejects.toMatchObject({ code: 'PLAN_FAILED' });
    await limits.close();
  });

  it('is asked for by one call, however many requests wait for it', async () => {
    const answer = deferred<string>();
    let asked = 0;
    const { limits, planOf } = host(() => {
      asked += 1;
      return answer.promise;
    });
    const all = [planOf(), planOf(), planOf('globex')];
    answer.resolve('pro');
    expect(await Promise.all(all)).toEqual(['pro', 'pro', 'pro']);
    expect(asked).toBe(2);
    await limits.close();
  });
});

it('Lookups keeps 10,000 values; the one looked up longest ago makes room', async () => {
  const asked: string[] = [];
  const find = (key: string) => {
    asked.push(key);
    return key;
  };
  const lookups = new Lookups({ find, clock: new ManualClock(), freshMs: 1 });
  for (let i = 0; i <= 10_000; i += 1) await lookups.get(String(i));
  await lookups.get('1');
  expect(asked).toHaveLength(10_001);
  await lookups.get('0');
  expect(asked.at(-1)).toBe('0');
});
