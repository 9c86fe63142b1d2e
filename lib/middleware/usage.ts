import type { Request, RequestHandler, Response, NextFunction } from 'express';
import type { LimitKind, LimitMode, LimitState, QuotaPeriod } from '../decision.js';
import { StoreError } from '../errors.js';
import { answerChecks, answerSettings, type AnswerOptions, type AnswerSettings } from '../http/answers.js';
import { customerOfRequest } from '../http/customer.js';
import { sendRefusal } from '../http/send-refusal.js';
import { checkOptions } from '../options.js';
import type { Plans } from '../plans/plans.js';
import { periodAt } from '../stores/period.js';
import type { JobState, Override, StoredJob } from '../stores/store.js';
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
  /** Finished jobs whose results are kept, those that expire first first: at most 100. */
  kept: KeptJob[];
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
  /** `true` where an override holds instead of the plan; missing where not. */
  overridden?: true;
  /** Of a quota: what is counted. */
  unit?: string;
  /** Of a quota: per which calendar period in UTC, or `stored`. */
  per?: QuotaPeriod;
  /** Of a quota: when its period ends, an ISO date; `null` for what is stored. */
  resetsAt?: string | null;
}

export interface RunningJob {
  id: string;
  state: JobState;
  /** Whole seconds since its admission. */
  age: number;
  /** ISO date. */
  admittedAt: string;
  /** ISO date; `null` while the job is pending. */
  startedAt: string | null;
  /** ISO date: when the slot is freed if nobody finishes or renews the job before. */
  leaseUntil: string | null;
}

export interface KeptJob {
  id: string;
  state: JobState;
  /** ISO date. */
  finishedAt: string | null;
  /** ISO date: when its results expire. Those of a pinned job don't. */
  resultsExpireAt: string | null;
  /** ISO date: when the job is forgotten. */
  metadataExpireAt: string | null;
  pinned: boolean;
}

/** Options of `usage` where it is used alone. */
export interface StandaloneUsageOptions extends SharedOptions, Pick<StandaloneAdmissionOptions, 'plan'> {}

/**
 * Answers with the customer's own limits: used, remaining, reset, who holds the slots, and which results are kept until when.
 * Charges nothing.
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
    const found = await usageOfCustomer(context, plans, customer);
    res.set('Cache-Control', 'no-store').json(found);
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    context.emit('store-error', { operation: 'usage', error });
    sendRefusal(storeUnavailable, answers, context.clock, req, res, next);
  }
}

const MOST_KEPT = 100;

export async function usageOfCustomer(
  { store, clock }: Pick<Context, 'store' | 'clock'>,
  plans: Plans,
  customer: string,
): Promise<CustomerUsage> {
  const { name, terms } = await plans.of(customer);
  const { limits, running, kept, override } = await store.usage(customer, terms.limits, MOST_KEPT);
  const now = clock.wallNow();
  return {
    plan: name ?? null,
    limits: limits.map((limit) => limitUsage(limit, override, now)),
    running: running.map((job) => runningJob(job, now)),
    kept: kept.map(keptJob),
  };
}

const finite = (value: number): number | null => (value === Infinity ? null : value);

function limitUsage(state: LimitState, override: Override | undefined, now: number): LimitUsage {
  const { name, kind, limit, used, remaining, resetAfterMs, windowMs, mode, unit, per } = state;
  const usage: LimitUsage = {
    name,
    kind,
    limit: finite(limit),
    used,
    remaining: finite(remaining),
    resetIn: resetAfterMs === undefined ? null : Math.ceil(resetAfterMs / 1000),
    window: windowMs === undefined ? null : windowMs / 1000,
    mode,
  };
  if (override?.limits.some((set) => set.name === name && set.kind === kind)) usage.overridden = true;
  if (unit === undefined || per === undefined) return usage;
  const { end } = periodAt(per, now);
  return { ...usage, unit, per, resetsAt: end === Infinity ? null : new Date(end).toISOString() };
}

const date = (epochMs: number | undefined): string | null =>
  epochMs === undefined ? null : new Date(epochMs).toISOString();

function runningJob({ ref, state, admittedAt, startedAt, leaseUntil }: StoredJob, now: number): RunningJob {
  return {
    id: ref.id,
    state,
    age: Math.max(0, Math.floor((now - admittedAt) / 1000)),
    admittedAt: new Date(admittedAt).toISOString(),
    startedAt: date(startedAt),
    leaseUntil: date(leaseUntil),
  };
}

function keptJob({ ref, state, finishedAt, resultsExpireAt, metadataExpireAt, pinned }: StoredJob): KeptJob {
  return {
    id: ref.id,
    state,
    finishedAt: date(finishedAt),
    resultsExpireAt: date(resultsExpireAt),
    metadataExpireAt: date(metadataExpireAt),
    pinned: pinned !== undefined,
  };
}
