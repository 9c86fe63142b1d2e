import type { Request, RequestHandler, Response, NextFunction } from 'express';
import type { LimitKind, LimitMode, LimitState } from '../decision.js';
import { StoreError } from '../errors.js';
import { answerChecks, answerSettings, type AnswerOptions, type AnswerSettings } from '../http/answers.js';
import { customerOfRequest } from '../http/customer.js';
import { sendRefusal } from '../http/send-refusal.js';
import { checkOptions } from '../options.js';
import type { Plans } from '../plans/plans.js';
import type { JobState, LimitStore, StoredJob } from '../stores/store.js';
import { planCheck, plansOf, type StandaloneAdmissionOptions } from './admission.js';
import { sharedChecks, type Context, type SharedOptions } from './context.js';
import { standaloneContext } from './standalone.js';
import { storeUnavailable } from './store-unavailable.js';

/** Where a customer stands. `GET /limits` answers with it as JSON. */
export interface CustomerUsage {
  /** The plan's name, or `null` where it has none. */
  plan: string | null;
  limits: LimitUsage[];
  /** The jobs that hold the customer's slots, oldest first. */
  running: RunningJob[];
}

export interface LimitUsage {
  name: string;
  kind: LimitKind;
  /** How much is allowed; `null` for no limit. */
  limit: number | null;
  used: number;
  /** `null` for no limit. */
  remaining: number | null;
  /** Whole seconds until `remaining` grows by itself; `null` where no clock says when. */
  resetIn: number | null;
  /** The window in seconds; `null` for limits that have none. */
  window: number | null;
  mode: LimitMode;
}

export interface RunningJob {
  id: string;
  state: JobState;
  /** ISO date. */
  admittedAt: string;
  /** ISO date; `null` while the job is pending. */
  startedAt: string | null;
  /** ISO date: when the slot is freed if nobody finishes or renews the job before. */
  leaseUntil: string | null;
}

/** Options of `usage` where it is used alone. */
export interface StandaloneUsageOptions extends SharedOptions, Pick<StandaloneAdmissionOptions, 'plan'> {}

/**
 * Answers with the customer's own limits: used, remaining, reset, and who holds the slots. Charges nothing.
 *
 * @example
 * app.get('/limits', limits.usage());
 *
 * @throws {ConfigError}
 */
export function usage(options: StandaloneUsageOptions): RequestHandler {
  const checked = checkOptions('usage', options, { ...sharedChecks, plan: planCheck });
  const plans = plansOf(checked.plan, checked);
  return usageOf(standaloneContext(checked, plans), plans, checked as AnswerOptions);
}

export const checkUsage = (options: AnswerOptions): AnswerOptions =>
  checkOptions('usage', options, answerChecks) as AnswerOptions;

export function usageOf(context: Context, plans: Plans, options: AnswerOptions): RequestHandler {
  const answers = answerSettings(options, context.answers);
  return function usage_(req, res, next) {
    answer(context, plans, answers, req, res, next).catch(next);
  };
}

async function answer(
  context: Context,
  plans: Plans,
  answers: AnswerSettings,
  req: Request,
  res: Response,
  next: NextFunction,
): Promise<void> {
  const customer = await customerOfRequest(req, context.customer);
  try {
    const found = await usageOfCustomer(context.store, plans, customer);
    res.set('Cache-Control', 'no-store').json(found);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    context.emit('store-error', { operation: 'usage', error });
    sendRefusal(storeUnavailable, answers, context.clock, req, res, next);
  }
}

export async function usageOfCustomer(
  store: LimitStore,
  plans: Plans,
  customer: string,
): Promise<CustomerUsage> {
  const { name, terms } = await plans.of(customer);
  const { limits, running } = await store.usage(customer, terms.limits);
  return { plan: name ?? null, limits: limits.map(limitUsage), running: running.map(runningJob) };
}

const finite = (value: number): number | null => (value === Infinity ? null : value);

function limitUsage({
  name,
  kind,
  limit,
  used,
  remaining,
  resetAfterMs,
  windowMs,
  mode,
}: LimitState): LimitUsage {
  return {
    name,
    kind,
    limit: finite(limit),
    used,
    remaining: finite(remaining),
    resetIn: resetAfterMs === undefined ? null : Math.ceil(resetAfterMs / 1000),
    window: windowMs === undefined ? null : windowMs / 1000,
    mode,
  };
}

const date = (epochMs: number | undefined): string | null =>
  epochMs === undefined ? null : new Date(epochMs).toISOString();

function runningJob({ ref, state, admittedAt, startedAt, leaseUntil }: StoredJob): RunningJob {
  return {
    id: ref.id,
    state,
    admittedAt: new Date(admittedAt).toISOString(),
    startedAt: date(startedAt),
    leaseUntil: date(leaseUntil),
  };
}
