import type { Request, RequestHandler } from 'express';
import { checkOptions, func, oneOf, optional } from '../options.js';
import { concurrencyChecks, concurrencyLimitOf, type ConcurrencyOptions } from '../plans/limits.js';
import { REMEMBER_MS } from '../plans/terms.js';
import { admissionChecks, admitRequests, type AdmissionOptions } from './admission.js';
import { sharedChecks, type Context, type SharedOptions } from './context.js';
import { noteLimit, standaloneContext } from './standalone.js';
import { fixedTerms } from './terms.js';

/** Options of `limits.concurrency()`. */
export interface ConcurrencyMiddlewareOptions extends ConcurrencyOptions, Omit<AdmissionOptions, 'cost'> {
  /**
   * What holds the slot. `'job'`: the job does, until `finish(ref)` or `maxRun`, whatever becomes of the request.
   * `'request'`: the request does, until the app has answered it; a client that goes away frees it only when the app ends
   * the response, or 30 seconds later.
   */
  hold: 'job' | 'request';
  /** Counts apart by what it returns, such as a model's name. Not the customer: customers are always apart. */
  key?: (req: Request) => string;
}

/** Options of `concurrency` where it is used alone. */
export interface StandaloneConcurrencyOptions extends ConcurrencyMiddlewareOptions, SharedOptions {}

const checks = {
  ...admissionChecks,
  ...concurrencyChecks,
  hold: oneOf('job', 'request'),
  key: optional(func<(req: Request) => string>()),
};

/**
 * At most `limit` jobs of a customer at once, over all processes that share the store: each holds a lease that is given
 * back exactly once, and freed after a crash. It is `admission` with this one limit.
 *
 * Refused requests are answered 413 `RATE_LIMIT_REACHED` with an estimated `info.retryIn`; see docs/reference/concurrency.md.
 *
 * @example
 * const store = new MemoryStore();
 * app.post('/jobs', concurrency({ store, customer: (req) => req.user.id, limit: 250, hold: 'job' }), create);
 * // later, in any process that shares the store
 * await store.finish(ref, { state: 'completed' });
 *
 * @throws {ConfigError}
 */
export function concurrency(options: StandaloneConcurrencyOptions): RequestHandler {
  const checked = checkOptions('concurrency', options, { ...sharedChecks, ...checks });
  return concurrencyOf(standaloneContext(checked), checked);
}

type Checked = { [K in keyof typeof checks]: ReturnType<(typeof checks)[K]> };

export const checkConcurrency = (options: ConcurrencyMiddlewareOptions): Checked =>
  checkOptions('concurrency', options, checks);

export function concurrencyOf(context: Context, checked: Checked): RequestHandler {
  const forRequest = checked.hold === 'request';
  const limit = concurrencyLimitOf(checked);
  noteLimit(context, limit);
  // Nobody asks for a request once it is over.
  const terms = fixedTerms(limit, context.pendingMs, checked.key, forRequest ? 0 : REMEMBER_MS);
  return admitRequests(context, 'concurrency', checked, terms, checked.hold);
}
