import type { LimitMode } from '../decision.js';
import { ConfigError } from '../errors.js';
import {
  checkOptions,
  count,
  duration,
  oneOf,
  optional,
  size,
  withDefault,
  type Check,
  type Checks,
} from '../options.js';
import type { ConcurrencyLimit, QuotaLimit, RateLimit } from '../stores/store.js';
import type { Duration, Size } from '../units.js';

/** At most `limit` admitted jobs in any stretch of `window`. */
export interface RateOptions {
  /** Jobs per window: 0 (none at all) to 100,000. */
  limit: number;
  /** The window, at least a millisecond. */
  window: Duration;
  /** Tells limits of one kind apart, in counters, headers and answers: letters, digits and `_.:/-`. @default 'creation-rate' */
  name?: string;
  /** `shadow` decides and reports, but never refuses. @default 'enforce' */
  mode?: LimitMode;
}

/** At most `limit` jobs at once, from admission until `finish`. */
export interface ConcurrencyOptions {
  /** Running jobs, pending ones included: 0 (none at all) or more. */
  limit: number;
  /** Hard end of a job's slot, counted from its commit, when nobody has finished it by then. @default '8h' */
  maxRun?: Duration;
  /**
   * Set it only where workers call `renew` at least this often: a slot that isn't renewed for so long is freed, which
   * gives the slots of a crashed worker back early. @default none: a slot lives until `maxRun`
   */
  heartbeat?: Duration;
  /** @default 'concurrency' */
  name?: string;
  /** `shadow` decides and reports, but never refuses. @default 'enforce' */
  mode?: LimitMode;
}

/**
 * At most `limit` of a unit per calendar hour, day or month in UTC. A job is charged what `cost` of its admission says, and
 * the difference to what it really used when it is finished.
 */
export interface QuotaOptions {
  /** What is counted: `jobs`, or any unit that `cost` gives amounts of. 1 to 40 letters, digits and `_.:/-`. */
  unit: string;
  /** How much per period: 0 (none at all) or more. Of `bytes` also a size, such as `'10gb'`. */
  limit: Size;
  per: 'hour' | 'day' | 'month';
  /** @default unit and period, such as 'jobs-per-month' */
  name?: string;
  /** `shadow` decides and reports, but never refuses. @default 'enforce' */
  mode?: LimitMode;
}

/** At most `limit` of a unit stored: from a job's admission until its results are deleted. */
export interface StorageOptions {
  /** What is counted: `jobs`, or any unit that `cost` gives amounts of. 1 to 40 letters, digits and `_.:/-`. */
  unit: string;
  /** How much at once: 0 (none at all) or more. Of `bytes` also a size, such as `'10gb'`. */
  limit: Size;
  /** @default the unit and 'stored', such as 'bytes-stored' */
  name?: string;
  /** `shadow` decides and reports, but never refuses. @default 'enforce' */
  mode?: LimitMode;
}

/** At most `limit` API requests per window, counted in fixed windows: see `requestRate`. */
export interface RequestRateOptions {
  /** Requests per window, at least 1. */
  limit: number;
  /** The window, in whole seconds. */
  window: Duration;
  /** @default 'request-rate' */
  name?: string;
  /** `shadow` decides and reports, but never refuses. @default 'enforce' */
  mode?: LimitMode;
}

export interface CheckedRequestRate {
  limit: number;
  windowMs: number;
  name: string;
  mode: LimitMode;
}

export const DEFAULT_MAX_RUN_MS = 8 * 3_600_000;
/** An exact log of more entries would take a megabyte a customer. */
const MOST_PER_WINDOW = 100_000;

const named =
  (longest: number): Check<string> =>
  (value, option) => {
    if (typeof value === 'string' && value.length <= longest && /^[\w.:/-]+$/.test(value)) return value;
    const code = value === undefined ? 'CONFIG_MISSING_OPTION' : 'CONFIG_INVALID_OPTION';
    throw new ConfigError(code, option, `a name of 1 to ${longest} letters, digits or _ . : / -`, value);
  };

/** A limit's name goes into headers (RFC 9651 strings), keys and metrics. */
const limitName = named(64);
/** Short enough to be in a limit's name. */
const unit = named(40);

export const limitMode: Check<LimitMode> = withDefault(oneOf('enforce', 'shadow'), 'enforce');

/** The checks of a creation rate's options, to be spread into those of a middleware. */
export const rateChecks = {
  limit: count({ max: MOST_PER_WINDOW }),
  window: duration({ min: 1 }),
  name: withDefault(limitName, 'creation-rate'),
  mode: limitMode,
} satisfies Checks<RateOptions>;

/** The checks of a concurrency limit's options, to be spread into those of a middleware. */
export const concurrencyChecks = {
  limit: count(),
  maxRun: withDefault(duration({ min: 1000 }), DEFAULT_MAX_RUN_MS),
  heartbeat: optional(duration({ min: 1000 })),
  name: withDefault(limitName, 'concurrency'),
  mode: limitMode,
} satisfies Checks<ConcurrencyOptions>;

/** The checks of a request rate's options, to be spread into those of a middleware. */
export const requestRateChecks = {
  limit: count({ min: 1 }),
  window: wholeSeconds,
  name: withDefault(limitName, 'request-rate'),
  mode: limitMode,
} satisfies Checks<RequestRateOptions>;

function wholeSeconds(value: unknown, option: string): number {
  const windowMs = duration({ min: 1000 })(value, option);
  if (windowMs % 1000 === 0) return windowMs;
  throw new ConfigError('CONFIG_BAD_DURATION', option, 'a duration in whole seconds', value);
}

/** The checks of what quotas and storage have in common; bytes may be given as a size. */
const amountChecks = (options: unknown) => ({
  unit,
  limit: (options as { unit?: unknown } | null)?.unit === 'bytes' ? size : count(),
  name: optional(limitName),
  mode: limitMode,
});

export function rateLimitOf(options: {
  limit: number;
  window: Duration;
  name: string;
  mode: LimitMode;
}): RateLimit {
  const { limit, window, name, mode } = options;
  return { kind: 'creation-rate', name, limit, windowMs: window as number, mode };
}

export function concurrencyLimitOf(options: {
  limit: number;
  maxRun: Duration;
  heartbeat?: Duration | undefined;
  name: string;
  mode: LimitMode;
}): ConcurrencyLimit {
  const { limit, maxRun, heartbeat, name, mode } = options;
  const parsed: ConcurrencyLimit = { kind: 'concurrency', name, limit, maxRunMs: maxRun as number, mode };
  if (heartbeat !== undefined) parsed.heartbeatMs = heartbeat as number;
  return parsed;
}

export const checkRate: Check<RateLimit> = (value, path) =>
  rateLimitOf(checkOptions(path, value, rateChecks));

export const checkConcurrency: Check<ConcurrencyLimit> = (value, path) =>
  concurrencyLimitOf(checkOptions(path, value, concurrencyChecks));

export const checkQuota: Check<QuotaLimit> = (value, path) => {
  const checks = { ...amountChecks(value), per: oneOf('hour', 'day', 'month') };
  const { unit, limit, per, name = `${unit}-per-${per}`, mode } = checkOptions(path, value, checks);
  return { kind: 'quota', name, unit, limit, per, mode };
};

export const checkStorage: Check<QuotaLimit> = (value, path) => {
  const { unit, limit, name = `${unit}-stored`, mode } = checkOptions(path, value, amountChecks(value));
  return { kind: 'quota', name, unit, limit, per: 'stored', mode };
};

export const checkRequestRate: Check<CheckedRequestRate> = (value, path) => {
  const { limit, window, name, mode } = checkOptions(path, value, requestRateChecks);
  return { limit, windowMs: window, name, mode };
};
