import type { LimitState } from '../../decision.js';
import { refusalOf, type Violation } from '../refusal.js';
import { counterOf, type Limit, type Refused } from '../store.js';
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
export function checkLimits(
  customer: Customer,
  limits: readonly Limit[],
  now: number,
  own?: ReadonlySet<string>,
): Verdict {
  const states: LimitState[] = [];
  let shadowed: string[] | undefined;
  let violations: Violation[] | undefined;
  for (const limit of limits) {
    const state = stateOf(customer, limit, now);
    states.push(state);
    const isOwn = own?.has(counterOf(limit)) ?? false;
    if (state.used < limit.limit + (isOwn ? 1 : 0)) continue;
    if (limit.mode !== 'shadow') (violations ??= []).push(violationOf(customer, limit, now));
    else if (!isOwn) (shadowed ??= []).push(limit.name);
  }
  const over = shadowed ?? NONE;
  const refused = violations && { ...refusalOf(violations), limits: states, shadowed: over };
  return { states, shadowed: over, uncharged: over, refused };
}

/** For a job that exists already: nothing refuses it, and its rates are not charged. */
export function adoptLimits(customer: Customer, limits: readonly Limit[], now: number): Verdict {
  const states = limits.map((limit) => stateOf(customer, limit, now));
  return { states, shadowed: NONE, uncharged: ratesOf(limits), refused: undefined };
}

export const ratesOf = (limits: readonly Limit[]): string[] =>
  limits.filter(({ kind }) => kind === 'creation-rate').map(({ name }) => name);

export function stateOf(customer: Customer, limit: Limit, now: number): LimitState {
  return limit.kind === 'creation-rate'
    ? rateState(customer, limit, now)
    : state(limit, customer.held.get(counterOf(limit)) ?? 0, undefined, undefined);
}

function rateState(customer: Customer, limit: Limit & { kind: 'creation-rate' }, now: number): LimitState {
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

function violationOf(customer: Customer, limit: Limit, now: number): Violation {
  if (limit.limit === 0) return { limit, retryAfterMs: 0, estimated: false };
  if (limit.kind !== 'creation-rate') {
    return { limit, retryAfterMs: customer.pace.estimate(now), estimated: true };
  }
  const retryAfterMs = customer.log(limit).nthNewest(limit.limit) + limit.windowMs - now;
  return { limit, retryAfterMs, estimated: false };
}

/** Turns the states into those after the charge. */
export function chargeStates(states: LimitState[], uncharged: readonly string[]): LimitState[] {
  for (const state of states) {
    if (uncharged.includes(state.name)) continue;
    state.used += 1;
    state.remaining = Math.max(0, state.remaining - 1);
    if (state.windowMs !== undefined) state.resetAfterMs ??= state.windowMs;
  }
  return states;
}
