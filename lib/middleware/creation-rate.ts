import type { Request, RequestHandler } from 'express';
import { checkOptions, func, optional } from '../options.js';
import { rateChecks, rateLimitOf, type RateOptions } from '../plans/limits.js';
import { admissionChecks, admitRequests, type AdmissionOptions } from './admission.js';
import { sharedChecks, type Context, type SharedOptions } from './context.js';
import { noteLimit, standaloneContext } from './standalone.js';
import { fixedTerms } from './terms.js';

/** Options of `limits.creationRate()`. */
export interface CreationRateOptions extends RateOptions, Omit<AdmissionOptions, 'cost'> {
  /** Counts apart by what it returns, such as a model's name. Not the customer: customers are always apart. */
  key?: (req: Request) => string;
}

/** Options of `creationRate` where it is used alone. */
export interface StandaloneCreationRateOptions extends CreationRateOptions, SharedOptions {}

const checks = { ...admissionChecks, ...rateChecks, key: optional(func<(req: Request) => string>()) };

/**
 * At most `limit` jobs created by a customer in any stretch of `window`: exact, not by aligned windows. It is `admission`
 * with this one limit. Jobs that are not made after all don't count.
 *
 * Refused requests are answered 413 `RATE_LIMIT_REACHED` with the exact `info.retryIn`; see docs/reference/creation-rate.md.
 *
 * @example
 * app.post('/jobs', creationRate({ customer: (req) => req.user.id, limit: 250, window: '1m' }), create);
 *
 * @throws {ConfigError}
 */
export function creationRate(options: StandaloneCreationRateOptions): RequestHandler {
  const checked = checkOptions('creationRate', options, { ...sharedChecks, ...checks });
  return creationRateOf(standaloneContext(checked), checked);
}

type Checked = { [K in keyof typeof checks]: ReturnType<(typeof checks)[K]> };

export const checkCreationRate = (options: CreationRateOptions): Checked =>
  checkOptions('creationRate', options, checks);

export function creationRateOf(context: Context, checked: Checked): RequestHandler {
  const limit = rateLimitOf(checked);
  noteLimit(context, limit);
  return admitRequests(context, 'creationRate', checked, fixedTerms(limit, context.pendingMs, checked.key));
}
