import type { LimitMode } from '../decision.js';
import { ConfigError } from '../errors.js';
import { checkOptions, listOf, oneOf, optional, text, type Check } from '../options.js';
import type { Limit, Retention } from '../stores/store.js';
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
import {
  checkConcurrency,
  checkQuota,
  checkRate,
  checkRequestRate,
  checkStorage,
  type CheckedRequestRate,
  type ConcurrencyOptions,
  type QuotaOptions,
  type RateOptions,
  type RequestRateOptions,
  type StorageOptions,
} from './limits.js';
import { checkRetention, type RetentionOptions } from './retention.js';

/** A named set of limits. Its keys are the names of the middlewares; a limit that is left out does not limit. */
export interface Plan {
  /** The name of another plan of the same set: what this one leaves out is as there. */
  extends?: string;
  /** `shadow`: none of its limits on jobs and requests refuses; all decide and report. @default 'enforce' */
  mode?: LimitMode;
  creationRate?: RateOptions | RateOptions[];
  concurrency?: ConcurrencyOptions | ConcurrencyOptions[];
  /** How much may be used per calendar hour, day or month. */
  quotas?: QuotaOptions | QuotaOptions[];
  /** How much may be stored at once. */
  storage?: StorageOptions | StorageOptions[];
  requestRate?: RequestRateOptions;
  fileSize?: FileSizeLimits;
  archiveLimits?: ArchiveLimits;
  urlCount?: UrlCountLimits;
  jobRetention?: RetentionOptions;
}

/** A plan whose every value was checked and parsed. */
export interface CheckedPlan {
  name: string | undefined;
  /** Those that a store counts: of `creationRate`, `concurrency`, `quotas` and `storage`. */
  limits: Limit[];
  requestRate: CheckedRequestRate | undefined;
  fileSize: CheckedFileSizeLimits | undefined;
  archiveLimits: ParsedArchiveLimits | undefined;
  urlCount: CheckedUrlCountLimits | undefined;
  jobRetention: Retention | undefined;
}

const oneOrMore =
  <T>(check: Check<T>): Check<T[]> =>
  (value, option) =>
    Array.isArray(value) ? listOf(check)(value, option) : [check(value, option)];

/** The checks of a plan's keys. */
export const planChecks = {
  extends: optional(text),
  mode: optional(oneOf('enforce', 'shadow')),
  creationRate: optional(oneOrMore(checkRate)),
  concurrency: optional(oneOrMore(checkConcurrency)),
  quotas: optional(oneOrMore(checkQuota)),
  storage: optional(oneOrMore(checkStorage)),
  requestRate: optional(checkRequestRate),
  fileSize: optional((value, path) => checkOptions(path, value, fileSizeLimitChecks)),
  archiveLimits: optional((value, path) => checkOptions(path, value, archiveLimitChecks)),
  urlCount: optional((value, path) => checkOptions(path, value, urlCountLimitChecks)),
  jobRetention: optional(checkRetention),
} satisfies Record<keyof Plan, Check<unknown>>;

/** What one plan says itself, checked and parsed. */
export type PlanKeys = { [K in keyof typeof planChecks]?: ReturnType<(typeof planChecks)[K]> };

/**
 * Checks what one plan says itself.
 *
 * @param option The plan's path for error messages, such as `plans.free`.
 * @throws {ConfigError} For anything that isn't a plan.
 */
export const checkPlan = (plan: unknown, option: string): PlanKeys => checkOptions(option, plan, planChecks);

/**
 * Makes a plan of what it says itself and what it has from others.
 *
 * @throws {ConfigError} `CONFIG_DUPLICATE_NAME` for two limits of one name.
 */
export function completePlan(name: string | undefined, keys: PlanKeys, option: string): CheckedPlan {
  const { creationRate = [], concurrency = [], quotas = [], storage = [], mode = 'enforce' } = keys;
  const limits: Limit[] = [...creationRate, ...concurrency, ...quotas, ...storage];
  refuseDuplicates(limits, option);
  const { requestRate, fileSize, archiveLimits, urlCount, jobRetention } = keys;
  return {
    name,
    limits: limits.map((limit) => inMode(mode, limit)),
    requestRate: requestRate && inMode(mode, requestRate),
    fileSize,
    archiveLimits,
    urlCount,
    jobRetention,
  };
}

/** A limit of a plan in that mode: a plan in shadow has none that refuses. */
const inMode = <T extends { mode: LimitMode }>(mode: LimitMode, limit: T): T =>
  mode === 'shadow' ? { ...limit, mode } : limit;

export function refuseDuplicates(limits: readonly Limit[], option: string): void {
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
