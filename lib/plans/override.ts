import { ConfigError } from '../errors.js';
import { checkOptions, duration, oneOf, optional, text, type Check } from '../options.js';
import type { Limit, Override } from '../stores/store.js';
import type { Duration } from '../units.js';
import type { ArchiveLimits } from '../uploads/archives/index.js';
import type { FileSizeLimits, UrlCountLimits } from '../uploads/body-limits.js';
import type {
  ConcurrencyOptions,
  QuotaOptions,
  RateOptions,
  RequestRateOptions,
  StorageOptions,
} from './limits.js';
import { planChecks, refuseDuplicates, type CheckedPlan } from './plan.js';

type Parts<T> = Partial<T> | Partial<T>[];

/** What can be set for one customer: a plan's keys. Parts of a limit that are left out are those of the customer's plan. */
export interface OverrideLimits {
  creationRate?: Parts<RateOptions>;
  concurrency?: Parts<ConcurrencyOptions>;
  quotas?: Parts<QuotaOptions>;
  storage?: Parts<StorageOptions>;
  requestRate?: Partial<RequestRateOptions>;
  fileSize?: Partial<FileSizeLimits>;
  archiveLimits?: ArchiveLimits;
  urlCount?: UrlCountLimits;
  /** None of the customer's limits on jobs and requests refuses; all decide and report. */
  mode?: 'shadow';
}

export interface OverrideOptions extends OverrideLimits {
  /** Why, for those who find it later. */
  reason?: string;
  /** Who set it. */
  author?: string;
  /** When it ends: a `Date`, an ISO date with its time zone, or how long from now. @default when it is removed */
  until?: Date | Duration;
}

type Values = Record<string, unknown>;

/** The keys whose limits a store counts, and which of a plan's limits each has. */
const counted = {
  creationRate: (limit: Limit) => limit.kind === 'creation-rate',
  concurrency: (limit: Limit) => limit.kind === 'concurrency',
  quotas: (limit: Limit) => limit.kind === 'quota' && limit.per !== 'stored',
  storage: (limit: Limit) => limit.kind === 'quota' && limit.per === 'stored',
};
type Counted = keyof typeof counted;
const countedKeys = Object.keys(counted) as Counted[];

/** The keys that no store counts: their middlewares apply them. */
const otherKeys = ['requestRate', 'fileSize', 'archiveLimits', 'urlCount'] as const;
export type OtherKey = (typeof otherKeys)[number];

const asIs: Check<unknown> = (value) => value;
const checksAt = (now: number) => ({
  creationRate: asIs,
  concurrency: asIs,
  quotas: asIs,
  storage: asIs,
  requestRate: asIs,
  fileSize: asIs,
  archiveLimits: asIs,
  urlCount: asIs,
  mode: optional(oneOf('shadow')),
  reason: optional(text),
  author: optional(text),
  until: optional(momentAfter(now)),
});

/**
 * Checks an override as a plan is checked, and fills in from the customer's plan what it leaves out.
 *
 * @param now Epoch milliseconds.
 * @throws {ConfigError} With the path of what is wrong, such as `override.creationRate.window`.
 */
export function checkOverride(input: unknown, plan: CheckedPlan, now: number): Override {
  const { mode, reason, author, until, ...values } = checkOptions('override', input, checksAt(now));
  const given = <K extends string>(keys: readonly K[]): K[] =>
    keys.filter((key) => Object.hasOwn(values, key));
  const override: Override = {
    limits: given(countedKeys).flatMap((key) => limitsOf(key, values[key], plan)),
    others: Object.fromEntries(given(otherKeys).map((key) => [key, otherOf(key, values[key], plan)])),
  };
  if (mode === undefined && override.limits.length === 0 && Object.keys(override.others!).length === 0) {
    throw new ConfigError('CONFIG_INVALID_OPTION', 'override', 'at least one limit, or a mode', input);
  }
  refuseDuplicates(override.limits, 'override');
  if (mode !== undefined) override.mode = mode;
  if (reason !== undefined) override.reason = reason;
  if (author !== undefined) override.author = author;
  if (until !== undefined) override.expiresAt = until;
  return override;
}

const momentAfter =
  (now: number): Check<number> =>
  (value, option) => {
    const isDate = value instanceof Date || (typeof value === 'string' && /^\d{4}-/.test(value));
    const at = isDate ? dateOf(value) : now + duration()(value, option);
    if (at > now) return at;
    const expected = "a moment to come: a Date, an ISO date with its time zone, or a duration such as '2h'";
    throw new ConfigError('CONFIG_INVALID_OPTION', option, expected, value);
  };

/** A date without time zone would mean another moment on each machine; NaN for one, and for what is no date. */
const dateOf = (value: Date | string): number =>
  value instanceof Date || /^[\d-]{10}$|(Z|[+-]\d\d:\d\d)$/.test(value) ? new Date(value).getTime() : NaN;

/** Limits of one key, complete. */
function limitsOf(key: Counted, values: unknown, plan: CheckedPlan): Limit[] {
  const own = plan.limits.filter(counted[key]);
  const path = `override.${key}`;
  const filled = Array.isArray(values)
    ? values.map((parts, i) => filledIn(key, parts, own, `${path}[${i}]`))
    : filledIn(key, values, own, path);
  return planChecks[key](filled, path) ?? [];
}

/** @param own The plan's limits of this key. */
function filledIn(key: Counted, given: unknown, own: readonly Limit[], path: string): unknown {
  if (!isObject(given)) return given;
  const parts = defined(given);
  const meant = limitMeant(parts, own.map(plainLimit));
  if (meant !== undefined) return { ...meant, ...parts };
  const names = own.map(({ name }) => name);
  // A rate or a concurrency limit may be one of a route's own. What is missing of it, its check tells.
  if (key === 'creationRate' || key === 'concurrency') {
    if (parts['name'] !== undefined || names.length === 0) return parts;
  }
  const expected =
    names.length === 0
      ? `no ${key}, since the plan has none`
      : `the name of one of the plan's: ${names.join(', ')}`;
  throw new ConfigError(
    'CONFIG_INVALID_OPTION',
    names.length === 0 ? path : `${path}.name`,
    expected,
    parts['name'],
  );
}

/** Which of the plan's limits is meant: by its name, or by what else tells it from the others. */
function limitMeant(parts: Values, own: readonly Values[]): Values | undefined {
  const { name, unit, per } = parts;
  if (name !== undefined) return own.find((limit) => limit['name'] === name);
  const fitting = own.filter(
    (limit) => (unit ?? limit['unit']) === limit['unit'] && (per ?? limit['per']) === limit['per'],
  );
  return fitting.length === 1
    ? fitting[0]
    : fitting.find(({ name }) => name === 'creation-rate' || name === 'concurrency');
}

function otherOf(key: OtherKey, given: unknown, plan: CheckedPlan): unknown {
  const value = isObject(given) ? { ...plainOther(key, plan), ...defined(given) } : given;
  planChecks[key](value, `override.${key}`);
  return value;
}

const isObject = (value: unknown): value is Values =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

const defined = (values: Values): Values =>
  Object.fromEntries(Object.entries(values).filter(([, value]) => value !== undefined));

/** A limit in the form of a plan. */
function plainLimit(limit: Limit): Values {
  const { kind, name, mode } = limit;
  const plain = { limit: limit.limit, name, mode };
  if (kind === 'creation-rate') return { ...plain, window: limit.windowMs };
  if (kind === 'concurrency')
    return defined({ ...plain, maxRun: limit.maxRunMs, heartbeat: limit.heartbeatMs });
  return limit.per === 'stored'
    ? { unit: limit.unit, ...plain }
    : { unit: limit.unit, per: limit.per, ...plain };
}

function plainOther(key: OtherKey, plan: CheckedPlan): Values | undefined {
  if (key !== 'requestRate' || plan.requestRate === undefined) return plan[key] as Values | undefined;
  const { windowMs, ...rate } = plan.requestRate;
  return { ...rate, window: windowMs };
}

/**
 * What holds of a key that no store counts. The override may have been set by a process of another version: a value that
 * is wrong here is left out.
 *
 * @param onInvalid Told of a wrong value.
 */
export function overriddenPart<K extends OtherKey>(
  plan: CheckedPlan,
  key: K,
  override: Override,
  onInvalid: (error: unknown) => void,
): CheckedPlan[K] {
  let part = plan[key];
  try {
    part = (planChecks[key](override.others?.[key], `override.${key}`) as CheckedPlan[K]) ?? part;
  } catch (error) {
    onInvalid(error);
  }
  // Of these keys only a request rate has a mode.
  return part !== undefined && key === 'requestRate' && override.mode === 'shadow'
    ? { ...part, mode: 'shadow' }
    : part;
}

/** An override as it is stored, in the form in which it is set. */
export interface CustomerOverride {
  customer: string;
  /** What it sets, complete. `limits.override` takes it again. */
  limits: OverrideLimits;
  /** `null` where none was given. */
  reason: string | null;
  author: string | null;
  /** ISO date. */
  setAt: string | null;
  /** ISO date; `null` where it holds until it is removed. */
  expiresAt: string | null;
}

export function describeOverride(customer: string, override: Override): CustomerOverride {
  const { limits, others = {}, mode, reason = null, author = null, setAt, expiresAt } = override;
  const set: Values = {};
  for (const key of countedKeys) {
    const plain = limits.filter(counted[key]).map(plainLimit);
    if (plain.length > 0) set[key] = plain;
  }
  for (const key of otherKeys) if (Object.hasOwn(others, key)) set[key] = others[key];
  if (mode === 'shadow') set['mode'] = mode;
  return { customer, limits: set, reason, author, setAt: isoDate(setAt), expiresAt: isoDate(expiresAt) };
}

const isoDate = (epochMs: number | undefined): string | null =>
  epochMs === undefined ? null : new Date(epochMs).toISOString();
