import type { Refusal } from '../decision.js';
import type { Limit } from './store.js';

/** A limit that refuses, and the wait that it names. */
export interface Violation {
  limit: Limit;
  retryAfterMs: number;
  estimated: boolean;
}

/**
 * Makes the refusal of an admission: the code by the kind of limit, never by the time; the wait is the longest that any
 * refusing limit names, so that a retry is never told to come too early.
 */
export function refusalOf(violations: readonly Violation[]): Refusal {
  const blocked = violations.find(({ limit }) => limit.limit === 0);
  const longest = violations.reduce((a, b) => (b.retryAfterMs > a.retryAfterMs ? b : a));
  const violated = violations.map(({ limit }) => limit.name);
  const base = { allowed: false, violated, problem: 'quota-exceeded' } as const;
  if (blocked) {
    return {
      ...base,
      code: 'LIMIT_BLOCKED',
      message: 'This limit allows no requests',
      limit: blocked.limit.name,
    };
  }
  const refusal: Refusal = {
    ...base,
    code: 'RATE_LIMIT_REACHED',
    message: 'Request limit reached',
    limit: longest.limit.name,
    retryAfterMs: longest.retryAfterMs,
  };
  if (longest.estimated) refusal.estimated = true;
  return refusal;
}
