import type { LimitState } from '../../decision.js';
import { refusalOf, type Violation } from '../refusal.js';
import { limitState } from '../limit-state.js';
import { periodAt } from '../period.js';
import {
  amountOf,
  counterOf,
  type AdmitRequest,
  type Amounts,
  type Limit,
  type QuotaLimit,
  type RateLimit,
  type Refused,
} from '../store.js';
import type { Customer } from './customer.js';
import type { Times } from './times.js';

/** What checking the limits found, before anything is charged. */
export interface Verdict {
  /** States as they are before the charge. */
  states: LimitState[];
  shadowed: readonly string[];
  /** Names of the limits that are not to be charged. */
  uncharged: readonly string[];
  refused: Refused | undefined;
}

const NONE: readonly string[] = [];

/** @param own Counters that the job is charged to already: it refuses itself no more than it has to, and isn't charged again. */
export function decide(
  { adopt = false, amounts }: AdmitRequest,
  customer: Customer,
  limits: readonly Limit[],
  times: Times,
  own?: ReadonlySet<string>,
): Verdict {
  return adopt ? adoptLimits(customer, limits, times) : checkLimits(customer, limits, times, amounts, own);
}

function checkLimits(
  customer: Customer,
  limits: readonly Limit[],
  times: Times,
  amounts?: Amounts,
  own?: ReadonlySet<string>,
): Verdict {
  const states: LimitState[] = [];
  let shadowed: string[] | undefined;
  let violations: Violation[] | undefined;
  for (const limit of limits) {
    const state = stateOf(customer, limit, times);
    states.push(state);
    const isOwn = own?.has(counterOf(limit)) ?? false;
    const amount = amountOf(limit, amounts);
    if (amount === 0 || state.used + (isOwn ? 0 : amount) <= limit.limit) continue;
    if (limit.mode !== 'shadow') (violations ??= []).push(violationOf(customer, limit, state, amount, times));
    else if (!isOwn) (shadowed ??= []).push(limit.name);
  }
  const over = shadowed ?? NONE;
  const refused = violations && { ...refusalOf(violations), limits: states, shadowed: over };
  return { states, shadowed: over, uncharged: over, refused };
}

/** For a job that exists already: nothing refuses it, and its rates are not charged, since their time is over. */
function adoptLimits(customer: Customer, limits: readonly Limit[], times: Times): Verdict {
  const states = limits.map((limit) => stateOf(customer, limit, times));
  return { states, shadowed: NONE, uncharged: namesOf(limits, 'creation-rate'), refused: undefined };
}

export const namesOf = (limits: readonly Limit[], ...kinds: Limit['kind'][]): string[] =>
  limits.filter(({ kind }) => kinds.includes(kind)).map(({ name }) => name);

export function stateOf(customer: Customer, limit: Limit, { now, date }: Times): LimitState {
  if (limit.kind === 'creation-rate') return rateState(customer, limit, now);
  if (limit.kind === 'quota') return quotaState(customer, limit, date);
  return limitState(limit, customer.held.get(counterOf(limit)) ?? 0, undefined);
}

function quotaState(customer: Customer, limit: QuotaLimit, date: number): LimitState {
  const { start, end } = periodAt(limit.per, date);
  const used = customer.quotas.used(limit, start);
  return limitState(limit, used, used === 0 || end === Infinity ? undefined : end - date);
}

function rateState(customer: Customer, limit: RateLimit, now: number): LimitState {
  const log = customer.logs.get(counterOf(limit));
  const used = log?.count(now, limit.windowMs) ?? 0;
  if (log === undefined || used === 0) return limitState(limit, used, undefined);
  // Above a limit that was lowered, the oldest entries make no room yet when they leave.
  const next = used > limit.limit && limit.limit > 0 ? log.nthNewest(limit.limit) : log.oldest();
  return limitState(limit, used, next + limit.windowMs - now);
}

function violationOf(
  customer: Customer,
  limit: Limit,
  { used }: LimitState,
  amount: number,
  { now, date }: Times,
): Violation {
  const violation = { limit, used, amount, estimated: false };
  if (limit.limit === 0) return { ...violation, retryAfterMs: undefined };
  if (limit.kind === 'concurrency') {
    return { ...violation, retryAfterMs: customer.pace.estimate(now), estimated: true };
  }
  if (limit.kind === 'quota') return { ...violation, retryAfterMs: waitForQuota(limit, amount, date) };
  return {
    ...violation,
    retryAfterMs: customer.log(limit).nthNewest(limit.limit) + limit.windowMs - now,
  };
}

/** Until the period ends; no wait helps where the amount is beyond the whole limit, nor where storage is full. */
function waitForQuota(limit: QuotaLimit, amount: number, date: number): number | undefined {
  if (limit.per === 'stored' || amount > limit.limit) return undefined;
  return periodAt(limit.per, date).end - date;
}

/** Turns the states into those after the charge. */
export function chargeStates(
  limits: readonly Limit[],
  { states, uncharged }: Verdict,
  amounts: Amounts | undefined,
  date: number,
): LimitState[] {
  for (let i = 0; i < states.length; i += 1) {
    const [state, limit] = [states[i]!, limits[i]!];
    if (uncharged.includes(limit.name)) continue;
    const amount = amountOf(limit, amounts);
    state.used += amount;
    state.remaining = Math.max(0, state.remaining - amount);
    if (limit.kind === 'creation-rate') state.resetAfterMs ??= limit.windowMs;
    else if (limit.kind === 'quota' && limit.per !== 'stored' && state.used > 0) {
      state.resetAfterMs ??= periodAt(limit.per, date).end - date;
    }
  }
  return states;
}
