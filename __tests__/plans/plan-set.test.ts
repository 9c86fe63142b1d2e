import { readFileSync, writeFileSync, mkdtempSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { ConfigError, definePlans, jobLimits, type Plan } from '../../lib/index.js';
import { checkPlanSet, completePlans } from '../../lib/plans/plan-set.js';

/** The plans of a set as they are applied, by name. */
const plansOf = (input: unknown) =>
  Object.fromEntries(completePlans(checkPlanSet(input)).map((plan) => [plan.name!, plan]));

const failure = (call: () => unknown): [string, string, string] => {
  try {
    call();
  } catch (error) {
    const { option, code, message } = error as ConfigError;
    expect(error).toBeInstanceOf(ConfigError);
    return [option, code, message];
  }
  throw new Error('nothing was thrown');
};

describe('extends', () => {
  const set = {
    enterprise: { extends: 'pro', creationRate: { limit: 9_000, window: '1m' } },
    pro: { extends: 'free', concurrency: { limit: 2_000 }, mode: 'enforce' },
    free: {
      creationRate: [
        { limit: 10, window: '1s', name: 'burst' },
        { limit: 250, window: '1m' },
      ],
      concurrency: { limit: 250, maxRun: '1h' },
      quotas: { unit: 'jobs', limit: 10_000, per: 'month' },
      urlCount: { limit: 100 },
      mode: 'shadow',
    },
  } satisfies Record<string, Plan>;

  it('takes what a plan leaves out from another, whatever their order', () => {
    const { pro, enterprise } = plansOf(set);
    expect(pro!.limits.map(({ name, limit }) => [name, limit])).toEqual([
      ['burst', 10],
      ['creation-rate', 250],
      ['concurrency', 2_000],
      ['jobs-per-month', 10_000],
    ]);
    expect(pro!.urlCount).toEqual({ limit: 100 });
    expect(enterprise!.limits.map(({ name, limit }) => [name, limit])).toEqual([
      ['creation-rate', 9_000],
      ['concurrency', 2_000],
      ['jobs-per-month', 10_000],
    ]);
  });

  it('replaces a key as a whole: parts of it are not mixed', () => {
    const [slots] = plansOf(set)['pro']!.limits.filter(({ kind }) => kind === 'concurrency');
    expect(slots).toMatchObject({ limit: 2_000, maxRunMs: 8 * 3_600_000 });
  });

  it('inherits the mode like any key', () => {
    const { free, pro, enterprise } = plansOf(set);
    expect(new Set(free!.limits.map(({ mode }) => mode))).toEqual(new Set(['shadow']));
    expect(new Set(pro!.limits.map(({ mode }) => mode))).toEqual(new Set(['enforce']));
    expect(new Set(enterprise!.limits.map(({ mode }) => mode))).toEqual(new Set(['enforce']));
  });

  it('a key that is undefined is left out', () => {
    const { b } = plansOf({ a: { urlCount: { limit: 1 } }, b: { extends: 'a', urlCount: undefined } });
    expect(b!.urlCount).toEqual({ limit: 1 });
  });

  it.each([
    ['a plan that is not there', { a: { extends: 'b' } }, 'plans.a.extends', /another plan: a/],
    ['itself', { a: { extends: 'a' } }, 'plans.a.extends', /does not extend this one/],
    [
      'in a circle',
      { a: { extends: 'b' }, b: { extends: 'a' } },
      'plans.b.extends',
      /does not extend this one/,
    ],
    [
      'a circle further on',
      { a: { extends: 'b' }, b: { extends: 'c' }, c: { extends: 'b' } },
      'plans.c.extends',
      /does not extend this one/,
    ],
    ['what the other extends', { a: { extends: 'b' }, b: { extends: 'no' } }, 'plans.b.extends', /: a, b/],
    ['no name', { a: { extends: {} } }, 'plans.a.extends', /string/],
    ['a name of Object’s', { a: { extends: 'constructor' } }, 'plans.a.extends', /another plan/],
  ])('%s is refused with its path', (_what, plans, option, message) => {
    expect(failure(() => definePlans(plans as never))).toEqual([
      option,
      'CONFIG_INVALID_OPTION',
      expect.stringMatching(message),
    ]);
  });

  it('finds two limits of one name that came from two plans', () => {
    const plans = {
      a: { creationRate: { limit: 1, window: '1s', name: 'x' } },
      b: { extends: 'a', concurrency: { limit: 1, name: 'x' } },
    };
    expect(failure(() => definePlans(plans)).slice(0, 2)).toEqual(['plans.b', 'CONFIG_DUPLICATE_NAME']);
  });

  it('tells a wrong value where it stands, not where it is inherited', () => {
    const plans = { child: { extends: 'parent' }, parent: { creationRate: { limit: 1, window: 'soon' } } };
    expect(failure(() => definePlans(plans))[0]).toBe('plans.parent.creationRate.window');
  });

  it('works for a plan that plan(customer) returns', async () => {
    const limits = jobLimits({
      customer: () => 'acme',
      plans: { free: { creationRate: { limit: 250, window: '1m' }, concurrency: { limit: 9 } } },
      plan: () => ({ extends: 'free', concurrency: { limit: 5 } }),
    });
    const { limits: all } = await limits.usageOf('acme');
    expect(all.map(({ limit }) => limit)).toEqual([250, 5]);
    await limits.close();
  });
});

describe('definePlans', () => {
  it('returns what it was given, for jobLimits', async () => {
    const plans = definePlans({ free: { concurrency: { limit: 1 } }, pro: { extends: 'free' } });
    const name: 'free' | 'pro' = Object.keys(plans)[0] as keyof typeof plans;
    const limits = jobLimits({ customer: () => 'acme', plans, plan: () => name });
    expect((await limits.usageOf('acme')).plan).toBe('free');
    await limits.close();
  });

  it('reads JSON', () => {
    const json = '{ "free": { "quotas": [{ "unit": "bytes", "limit": "10gb", "per": "day" }] } }';
    const plans = definePlans(json);
    expect(plans).toEqual(JSON.parse(json));
    const [quota] = plansOf(plans)['free']!.limits;
    expect(quota).toMatchObject({ name: 'bytes-per-day', limit: 10 * 1024 ** 3 });
  });

  it('jobLimits and setPlans read JSON too', async () => {
    const limits = jobLimits({
      customer: () => 'acme',
      plans: '{ "free": { "concurrency": { "limit": 3 } } }',
    });
    const limitOf = async () => (await limits.usageOf('acme')).limits.at(-1)!.limit;
    expect(await limitOf()).toBe(3);
    const folder = mkdtempSync(join(tmpdir(), 'plans-'));
    try {
      const file = join(folder, 'plans.json');
      writeFileSync(file, '{ "free": { "concurrency": { "limit": 4 } } }');
      limits.setPlans(readFileSync(file, 'utf8'));
    } finally {
      rmSync(folder, { recursive: true });
    }
    expect(await limitOf()).toBe(4);
    expect(() => limits.setPlans('{')).toThrow(ConfigError);
    expect(await limitOf()).toBe(4);
    await limits.close();
  });

  it.each([
    ['no JSON', '{ free: }', 'plans', /its JSON \(.+\)/],
    ['JSON of a list', '[]', 'plans', /at least one plan/],
    ['JSON of nothing', 'null', 'plans', /at least one plan/],
    ['a plan that is null', '{ "free": null }', 'plans.free', /an object of options/],
    ['an unknown key', '{ "free": { "quota": [] } }', 'plans.free.quota', /did you mean 'quotas'/],
    [
      'a prototype',
      '{ "free": { "__proto__": { "urlCount": {} } } }',
      'plans.free.__proto__',
      /no such option/,
    ],
    [
      'an unknown period',
      '{ "a": { "quotas": { "unit": "jobs", "limit": 1, "per": "week" } } }',
      'plans.a.quotas.per',
      /'hour', 'day', 'month'/,
    ],
  ])('%s is refused', (_what, json, option, message) => {
    expect(failure(() => definePlans(json))).toEqual([
      option,
      expect.stringMatching(/^CONFIG_/),
      expect.stringMatching(message),
    ]);
  });
});

describe('quotas and storage', () => {
  const limitsOf = (plan: Plan) => plansOf({ a: plan })['a']!.limits;

  it('have a name by unit and period, and bytes may be a size', () => {
    expect(
      limitsOf({
        quotas: [
          { unit: 'jobs', limit: 10_000, per: 'month' },
          { unit: 'audioSeconds', limit: Number.MAX_SAFE_INTEGER, per: 'day', mode: 'shadow' },
          { unit: 'bytes', limit: '1tb', per: 'hour', name: 'traffic' },
        ],
        storage: [
          { unit: 'jobs', limit: 2_000 },
          { unit: 'bytes', limit: '10gb' },
        ],
      }),
    ).toEqual([
      { kind: 'quota', name: 'jobs-per-month', unit: 'jobs', limit: 10_000, per: 'month', mode: 'enforce' },
      {
        kind: 'quota',
        name: 'audioSeconds-per-day',
        unit: 'audioSeconds',
        limit: 2 ** 53 - 1,
        per: 'day',
        mode: 'shadow',
      },
      { kind: 'quota', name: 'traffic', unit: 'bytes', limit: 1024 ** 4, per: 'hour', mode: 'enforce' },
      { kind: 'quota', name: 'jobs-stored', unit: 'jobs', limit: 2_000, per: 'stored', mode: 'enforce' },
      {
        kind: 'quota',
        name: 'bytes-stored',
        unit: 'bytes',
        limit: 10 * 1024 ** 3,
        per: 'stored',
        mode: 'enforce',
      },
    ]);
  });

  const quota = { unit: 'jobs', limit: 1, per: 'month' };
  it.each([
    ['no unit', { quotas: { ...quota, unit: undefined } }, 'quotas.unit', 'CONFIG_MISSING_OPTION'],
    ['a unit with spaces', { quotas: { ...quota, unit: 'a b' } }, 'quotas.unit', 'CONFIG_INVALID_OPTION'],
    ['a long unit', { quotas: { ...quota, unit: 'x'.repeat(41) } }, 'quotas.unit', 'CONFIG_INVALID_OPTION'],
    [
      'no limit',
      { quotas: [quota, { ...quota, limit: undefined }] },
      'quotas[1].limit',
      'CONFIG_MISSING_OPTION',
    ],
    ['a size of jobs', { quotas: { ...quota, limit: '1kb' } }, 'quotas.limit', 'CONFIG_INVALID_OPTION'],
    ['half a job', { quotas: { ...quota, limit: 0.5 } }, 'quotas.limit', 'CONFIG_INVALID_OPTION'],
    ['too many', { quotas: { ...quota, limit: 2 ** 53 } }, 'quotas.limit', 'CONFIG_INVALID_OPTION'],
    ['half a byte', { storage: { unit: 'bytes', limit: 0.5 } }, 'storage.limit', 'CONFIG_BAD_SIZE'],
    [
      'a period of storage',
      { storage: { unit: 'bytes', limit: 1, per: 'day' } },
      'storage.per',
      'CONFIG_UNKNOWN_OPTION',
    ],
    ['stored as a period', { quotas: { ...quota, per: 'stored' } }, 'quotas.per', 'CONFIG_INVALID_OPTION'],
    ['two of one name', { quotas: [quota, quota] }, '', 'CONFIG_DUPLICATE_NAME'],
    ['no object', { storage: 5 }, 'storage', 'CONFIG_INVALID_OPTION'],
  ])('%s is refused', (_what, plan, path, code) => {
    const option = path === '' ? 'plans.a' : `plans.a.${path}`;
    expect(failure(() => definePlans({ a: plan as never })).slice(0, 2)).toEqual([option, code]);
  });
});

describe('jobRetention', () => {
  const retentionOf = (jobRetention: Plan['jobRetention']) =>
    plansOf({ a: { jobRetention } })['a']!.jobRetention;
  const DAY = 24 * 3_600_000;

  it('keeps metadata as long as results unless it says more', () => {
    expect(retentionOf({ results: '7d' })).toEqual({ resultsMs: 7 * DAY, metadataMs: 7 * DAY });
    expect(
      retentionOf({ results: '24h', metadata: '90d', failed: { results: 0, metadata: '7d' }, notice: '1h' }),
    ).toEqual({
      resultsMs: DAY,
      metadataMs: 90 * DAY,
      failed: { resultsMs: 0, metadataMs: 7 * DAY },
      noticeMs: 3_600_000,
    });
  });

  it.each([
    ['nothing', {}, 'results', 'CONFIG_MISSING_OPTION'],
    ['metadata for shorter', { results: '2d', metadata: '1d' }, 'metadata', 'CONFIG_BAD_DURATION'],
    [
      'those of failed jobs',
      { results: '2d', failed: { results: '2d', metadata: 1 } },
      'failed.metadata',
      'CONFIG_BAD_DURATION',
    ],
    ['a notice before the end', { results: '1h', notice: '2h' }, 'notice', 'CONFIG_BAD_DURATION'],
    ['no duration', { results: 'long' }, 'results', 'CONFIG_BAD_DURATION'],
    ['an unknown key', { results: '1d', metdata: '2d' }, 'metdata', 'CONFIG_UNKNOWN_OPTION'],
  ])('%s is refused', (_what, jobRetention, path, code) => {
    expect(failure(() => definePlans({ a: { jobRetention } as never })).slice(0, 2)).toEqual([
      `plans.a.jobRetention.${path}`,
      code,
    ]);
  });
});
