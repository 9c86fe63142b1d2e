import type { LimitState } from '../../decision.js';
import { refusalOf, type Violation } from '../refusal.js';
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
  now: number,
  own?: ReadonlySet<string>,
): Verdict {
  return adopt ? adoptLimits(customer, limits, now) : checkLimits(customer, limits, now, amounts, own);
}

function checkLimits(
  customer: Customer,
  limits: readonly Limit[],
  now: number,
  amounts?: Amounts,
  own?: ReadonlySet<string>,
): Verdict {
  const states: LimitState[] = [];
  let shadowed: string[] | undefined;
  let violations: Violation[] | undefined;
  for (const limit of limits) {
    const state = stateOf(customer, limit, now);
    states.push(state);
    const isOwn = own?.has(counterOf(limit)) ?? false;
    const amount = amountOf(limit, amounts);
    if (amount === 0 || state.used + (isOwn ? 0 : amount) <= limit.limit) continue;
    if (limit.mode !== 'shadow') (violations ??= []).push(violationOf(customer, limit, state, amount, now));
    else if (!isOwn) (shadowed ??= []).push(limit.name);
  }
  const over = shadowed ?? NONE;
  const refused = violations && { ...refusalOf(violations), limits: states, shadowed: over };
  return { states, shadowed: over, uncharged: over, refused };
}

/** For a job that exists already: nothing refuses it, and its rates are not charged, since their time is over. */
function adoptLimits(customer: Customer, limits: readonly Limit[], now: number): Verdict {
  const states = limits.map((limit) => stateOf(customer, limit, now));
  return { states, shadowed: NONE, uncharged: namesOf(limits, 'creation-rate'), refused: undefined };
}

export const namesOf = (limits: readonly Limit[], ...kinds: Limit['kind'][]): string[] =>
  limits.filter(({ kind }) => kinds.includes(kind)).map(({ name }) => name);

export function stateOf(customer: Customer, limit: Limit, now: number): LimitState {
  if (limit.kind === 'creation-rate') return rateState(customer, limit, now);
  if (limit.kind === 'quota') return quotaState(customer, limit);
  return state(limit, customer.held.get(counterOf(limit)) ?? 0, undefined, undefined);
}

function quotaState(customer: Customer, limit: QuotaLimit): LimitState {
  const date = customer.ledger.wallNow();
  const { start, end } = periodAt(limit.per, date);
  const used = customer.quotas.used(limit, start);
  const resetAfterMs = used === 0 || end === Infinity ? undefined : end - date;
  return { ...state(limit, used, resetAfterMs, undefined), unit: limit.unit, per: limit.per };
}

function rateState(customer: Customer, limit: RateLimit, now: number): LimitState {
  const log = customer.logs.get(counterOf(limit));
  const used = log?.count(now, limit.windowMs) ?? 0;
  if (log === undefined || used === 0) return state(limit, used, undefined, limit.windowMs);
  // Above a limit that was lowered, the oldest entries make no room yet when they leave.
  const next = used > limit.limit && limit.limit > 0 ? log.nthNewest(limit.limit) : log.oldest();
  return state(limit, used, next + limit.windowMs - now, limit.windowMs);
}

function state(
  { name, kind, limit, mode }: Limit,
  used: number,
  resetAfterMs: number | undefined,
  windowMs: number | undefined,
): LimitState {
  return { name, kind, limit, used, remaining: Math.max(0, limit - used), resetAfterMs, windowMs, mode };
}

function violationOf(
  customer: Customer,
  limit: Limit,
  { used }: LimitState,
  amount: number,
  now: number,
): Violation {
  const violation = { limit, used, amount, estimated: false };
  if (limit.limit === 0) return { ...violation, retryAfterMs: undefined };
  if (limit.kind === 'concurrency') {
    return { ...violation, retryAfterMs: customer.pace.estimate(now), estimated: true };
  }
  if (limit.kind === 'quota') return { ...violation, retryAfterMs: waitForQuota(limit, amount, customer) };
  return {
    ...violation,
    retryAfterMs: customer.log(limit).nthNewest(limit.limit) + limit.windowMs - now,
  };
}

/** Until the period ends; no wait helps where the amount is beyond the whole limit, nor where storage is full. */
function waitForQuota(limit: QuotaLimit, amount: number, customer: Customer): number | undefined {
  if (limit.per === 'stored' || amount > limit.limit) return undefined;
  const date = customer.ledger.wallNow();
  return periodAt(limit.per, date).end - date;
}

/** Turns the states into those after the charge. */
export function chargeStates(
  customer: Customer,
  limits: readonly Limit[],
  { states, uncharged }: Verdict,
  amounts: Amounts | undefined,
): LimitState[] {
  for (let i = 0; i < states.length; i += 1) {
    const [state, limit] = [states[i]!, limits[i]!];
    if (uncharged.includes(limit.name)) continue;
    const amount = amountOf(limit, amounts);
    state.used += amount;
    state.remaining = Math.max(0, state.remaining - amount);
    if (limit.kind === 'creation-rate') state.resetAfterMs ??= limit.windowMs;
    if (limit.kind === 'quota' && state.used > 0 && limit.per !== 'stored') {
      const date = customer.ledger.wallNow();
      state.resetAfterMs ??= periodAt(limit.per, date).end - date;
    }
  }
  return states;
}
