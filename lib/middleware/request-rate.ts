import type { Request, RequestHandler, Response, NextFunction } from 'express';
import { RateLimiterRes, type RateLimiterAbstract } from 'rate-limiter-flexible';
import type { LimitMode, LimitState, Refusal } from '../decision.js';
import { ConfigError } from '../errors.js';
import { answerChecks, answerSettings, type AnswerOptions, type AnswerSettings } from '../http/answers.js';
import { customerOfRequest } from '../http/customer.js';
import { showLimits } from '../http/rate-limit-headers.js';
import { setLimits } from '../http/request-state.js';
import { sendRefusal } from '../http/send-refusal.js';
import { checkOptions, func, having, optional } from '../options.js';
import { requestRateChecks, type CheckedRequestRate, type RequestRateOptions } from '../plans/limits.js';
import { sharedChecks, type Context, type SharedOptions } from './context.js';
import { partFor } from './overrides.js';
import { standaloneContext } from './standalone.js';
import { storeUnavailable } from './store-unavailable.js';

/** Options of `limits.requestRate()`: its own numbers or a limiter, or neither, and then those of the customer's plan. */
export interface RequestRateMiddlewareOptions extends Partial<RequestRateOptions>, AnswerOptions {
  /**
   * Any rate-limiter-flexible limiter, on any of its back ends, instead of `limit` and `window`. Its `points` and
   * `duration` are the limit. @default the store's own
   */
  limiter?: RateLimiterAbstract;
  /** Requests for which it returns true pass uncounted. */
  skip?: (req: Request) => boolean;
}

/** Options of `requestRate` where it is used alone. */
export interface StandaloneRequestRateOptions extends RequestRateMiddlewareOptions, SharedOptions {}

const checks = {
  ...answerChecks,
  limit: optional(requestRateChecks.limit),
  window: optional(requestRateChecks.window),
  name: requestRateChecks.name,
  mode: requestRateChecks.mode,
  limiter: optional(having<RateLimiterAbstract>('a limiter of rate-limiter-flexible', 'consume', 'get')),
  skip: optional(func<(req: Request) => boolean>()),
};

type Checked = { [K in keyof typeof checks]: ReturnType<(typeof checks)[K]> };

/**
 * At most `limit` requests of a customer per window, for an API's plain requests: status reads, lists. Counted by
 * rate-limiter-flexible in fixed windows, so that up to twice the limit can pass around the edge of two.
 *
 * Refused requests are answered 429 `RATE_LIMIT_REACHED`; see docs/reference/request-rate.md.
 *
 * @example
 * app.use(requestRate({ customer: (req) => req.user.id, limit: 20_000, window: '5m' }));
 *
 * @throws {ConfigError}
 */
export function requestRate(options: StandaloneRequestRateOptions): RequestHandler {
  const checked = checkOptions('requestRate', options, { ...sharedChecks, ...checks });
  return requestRateOf(standaloneContext(checked), checked);
}

export const checkRequestRate = (options: RequestRateMiddlewareOptions): Checked =>
  checkOptions('requestRate', options, checks);

export function requestRateOf(context: Context, checked: Checked): RequestHandler {
  const { skip } = checked;
  const limiterOf = limiterSource(context, checked);
  const answers = answerSettings({ deniedStatus: 429, ...(checked as AnswerOptions) }, context.answers);
  return function requestRate_(req, res, next) {
    count(context, answers, limiterOf, skip, req, res, next).then((passes) => void (passes && next()), next);
  };
}

type Limiter = { name: string; limiter: RateLimiterAbstract; mode: LimitMode };
type LimiterOf = (req: Request, customer: string) => Limiter | undefined | Promise<Limiter | undefined>;

/** Which limiter counts a customer's requests: the given one, one of the given numbers, or one by the plan. */
function limiterSource(context: Context, { name, limit, window, limiter, mode }: Checked): LimiterOf {
  if (limiter !== undefined) return () => ({ name, limiter, mode });
  if (limit !== undefined && window !== undefined) {
    const rate = { name, limit, windowMs: window, mode };
    return () => ({ name, limiter: context.limiterOf(rate), mode });
  }
  const { plans } = context;
  if (limit !== undefined || window !== undefined || plans === undefined) {
    throw new ConfigError(
      'CONFIG_MISSING_OPTION',
      'requestRate',
      '`limit` and `window`, or a `limiter`, or plans that have a requestRate',
      undefined,
    );
  }
  const ofPlan = (rate: CheckedRequestRate | undefined): Limiter | undefined =>
    rate && { name: rate.name, limiter: context.limiterOf(rate), mode: rate.mode };
  const part = partFor(context, plans, 'requestRate');
  return async (req, customer) => ofPlan(await part(req, customer));
}

async function count(
  context: Context,
  answers: AnswerSettings,
  limiterOf: LimiterOf,
  skip: Checked['skip'],
  req: Request,
  res: Response,
  next: NextFunction,
): Promise<boolean> {
  if (skip?.(req)) return true;
  const customer = await customerOfRequest(req, context.customer);
  const found = await limiterOf(req, customer);
  if (found === undefined) return true;
  let result: RateLimiterRes;
  let refused = false;
  try {
    result = await found.limiter.consume(customer);
  } catch (error) {
    // rate-limiter-flexible rejects with its result, which is no Error, when the limit is reached.
    if (!isResult(error)) {
      context.emit('store-error', { operation: 'requestRate', error });
      sendRefusal(storeUnavailable, answers, context.clock, req, res, next);
      return false;
    }
    result = error;
    refused = true;
  }
  const state = stateOf(found, result);
  setLimits(req, context.properties.limits, showLimits(req, res, [state]));
  if (!refused) return true;
  const refusal: Refusal = {
    allowed: false,
    code: 'RATE_LIMIT_REACHED',
    message: 'Request limit reached',
    limit: found.name,
    violated: [found.name],
    problem: 'quota-exceeded',
    retryAfterMs: result.msBeforeNext,
  };
  if (found.mode === 'shadow') {
    context.emit('shadow-refusal', { customer, refusal });
    return true;
  }
  sendRefusal(refusal, answers, context.clock, req, res, next);
  return false;
}

/** A second copy of the library in the host's tree has a class of its own, so that the shape decides. */
const isResult = (value: unknown): value is RateLimiterRes =>
  value instanceof RateLimiterRes ||
  (typeof (value as RateLimiterRes | null)?.msBeforeNext === 'number' && !(value instanceof Error));

function stateOf(
  { name, limiter, mode }: Limiter,
  { consumedPoints, remainingPoints, msBeforeNext }: RateLimiterRes,
): LimitState {
  return {
    name,
    kind: 'request-rate',
    limit: limiter.points,
    used: Math.min(consumedPoints, limiter.points),
    remaining: Math.max(0, remainingPoints),
    resetAfterMs: Math.max(0, msBeforeNext),
    windowMs: limiter.duration * 1000,
    unit: undefined,
    per: undefined,
    mode,
  };
}
