import type { LimitMode } from '../decision.js';
import { ConfigError } from '../errors.js';
import {
  checkOptions,
  count,
  duration,
  either,
  listOf,
  oneOf,
  optional,
  withDefault,
  type Check,
  type Checks,
} from '../options.js';
import type { ConcurrencyLimit, Limit, RateLimit, Terms } from '../stores/store.js';
import type { Duration } from '../units.js';
import {
  archiveLimitChecks,
  type ArchiveLimits,
  type ParsedArchiveLimits,
} from '../uploads/archives/index.js';
import {
  fileSizeLimitChecks,
  urlCountLimitChecks,
  type CheckedFileSizeLimits,
  type CheckedUrlCountLimits,
  type FileSizeLimits,
  type UrlCountLimits,
} from '../uploads/body-limits.js';

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

/** At most `limit` API requests per window, counted in fixed windows: see `requestRate`. */
export interface RequestRateOptions {
  /** Requests per window, at least 1. */
  limit: number;
  /** The window, in whole seconds. */
  window: Duration;
  /** @default 'request-rate' */
  name?: string;
}

/** A named set of limits. Its keys are the names of the middlewares; a limit that is left out does not limit. */
export interface Plan {
  creationRate?: RateOptions | RateOptions[];
  concurrency?: ConcurrencyOptions | ConcurrencyOptions[];
  requestRate?: RequestRateOptions;
  fileSize?: FileSizeLimits;
  archiveLimits?: ArchiveLimits;
  urlCount?: UrlCountLimits;
}

export type CheckedRequestRate = { limit: number; windowMs: number; name: string };

/** A plan whose every value was checked and parsed. */
export interface CheckedPlan {
  name: string | undefined;
  rates: RateLimit[];
  slots: ConcurrencyLimit[];
  requestRate: CheckedRequestRate | undefined;
  fileSize: CheckedFileSizeLimits | undefined;
  archiveLimits: ParsedArchiveLimits | undefined;
  urlCount: CheckedUrlCountLimits | undefined;
}

export const DEFAULT_MAX_RUN_MS = 8 * 3_600_000;
export const DEFAULT_PENDING_MS = 60_000;
/** How long a finished job is remembered where the plan says nothing of retention. */
export const REMEMBER_MS = 24 * 3_600_000;
/** An exact log of more entries would take a megabyte a customer. */
const MOST_PER_WINDOW = 100_000;

/** A limit's name goes into headers (RFC 9651 strings), keys and metrics. */
const limitName: Check<string> = (value, option) => {
  if (typeof value === 'string' && /^[\w.:/-]{1,64}$/.test(value)) return value;
  throw new ConfigError(
    'CONFIG_INVALID_OPTION',
    option,
    'a name of 1 to 64 letters, digits or _ . : / -',
    value,
  );
};

const mode: Check<LimitMode> = withDefault(oneOf('enforce', 'shadow'), 'enforce');

/** The checks of a creation rate's options, to be spread into those of a middleware. */
export const rateChecks = {
  limit: count({ max: MOST_PER_WINDOW }),
  window: duration({ min: 1 }),
  name: withDefault(limitName, 'creation-rate'),
  mode,
} satisfies Checks<RateOptions>;

/** The checks of a concurrency limit's options, to be spread into those of a middleware. */
export const concurrencyChecks = {
  limit: count(),
  maxRun: withDefault(duration({ min: 1000 }), DEFAULT_MAX_RUN_MS),
  heartbeat: optional(duration({ min: 1000 })),
  name: withDefault(limitName, 'concurrency'),
  mode,
} satisfies Checks<ConcurrencyOptions>;

/** The checks of a request rate's options, to be spread into those of a middleware. */
export const requestRateChecks = {
  limit: count({ min: 1 }),
  window: wholeSeconds,
  name: withDefault(limitName, 'request-rate'),
} satisfies Checks<RequestRateOptions>;

function wholeSeconds(value: unknown, option: string): number {
  const windowMs = duration({ min: 1000 })(value, option);
  if (windowMs % 1000 === 0) return windowMs;
  throw new ConfigError('CONFIG_BAD_DURATION', option, 'a duration in whole seconds', value);
}

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

const oneOrMore = <T>(check: Check<T>): Check<T | T[]> => either(Array.isArray, listOf(check), check);

const asList = <T>(value: T | T[] | undefined): T[] =>
  value === undefined ? [] : Array.isArray(value) ? value : [value];

/**
 * Checks a plan.
 *
 * @param option The plan's path for error messages, such as `plans.free`.
 * @throws {ConfigError} For anything that isn't a plan; `CONFIG_DUPLICATE_NAME` for two limits of one name.
 */
export function checkPlan(name: string | undefined, plan: unknown, option: string): CheckedPlan {
  const rate: Check<RateLimit> = (value, path) => rateLimitOf(checkOptions(path, value, rateChecks));
  const slot: Check<ConcurrencyLimit> = (value, path) =>
    concurrencyLimitOf(checkOptions(path, value, concurrencyChecks));
  const checked = checkOptions(option, plan, {
    creationRate: optional(oneOrMore(rate)),
    concurrency: optional(oneOrMore(slot)),
    requestRate: optional((value, path): CheckedRequestRate => {
      const { limit, window, name } = checkOptions(path, value, requestRateChecks);
      return { limit, windowMs: window, name };
    }),
    fileSize: optional((value, path) => checkOptions(path, value, fileSizeLimitChecks)),
    archiveLimits: optional((value, path) => checkOptions(path, value, archiveLimitChecks)),
    urlCount: optional((value, path) => checkOptions(path, value, urlCountLimitChecks)),
  });
  const rates = asList(checked.creationRate);
  const slots = asList(checked.concurrency);
  refuseDuplicates([...rates, ...slots], option);
  const { requestRate, fileSize, archiveLimits, urlCount } = checked;
  return { name, rates, slots, requestRate, fileSize, archiveLimits, urlCount };
}

function refuseDuplicates(limits: Limit[], option: string): void {
  const names = new Set<string>();
  for (const { name } of limits) {
    if (names.has(name)) {
      throw new ConfigError(
        'CONFIG_DUPLICATE_NAME',
        option,
        'limits of different names (set `name` on one)',
        name,
      );
    }
    names.add(name);
  }
}

/**
 * What a plan's jobs are admitted on. Limits that the plan leaves out are there as infinite ones under their default
 * names, so that an override can set them, and so that every job holds a lease.
 */
export function termsOfPlan({ name, rates, slots }: CheckedPlan, pendingMs: number): Terms {
  const anyRate: RateLimit = {
    kind: 'creation-rate',
    name: 'creation-rate',
    limit: Infinity,
    windowMs: 60_000,
    mode: 'enforce',
  };
  const anySlot: ConcurrencyLimit = {
    kind: 'concurrency',
    name: 'concurrency',
    limit: Infinity,
    maxRunMs: DEFAULT_MAX_RUN_MS,
    mode: 'enforce',
  };
  const limits = [...(rates.length > 0 ? rates : [anyRate]), ...(slots.length > 0 ? slots : [anySlot])];
  const terms: Terms = { limits, pendingMs, rememberMs: REMEMBER_MS };
  if (name !== undefined) terms.plan = name;
  return terms;
}
