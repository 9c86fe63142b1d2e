import type { Refusal } from '../decision.js';
import type { Limit } from './store.js';

/** A limit that refuses, and the wait that it names. */
export interface Violation {
  limit: Limit;
  /** How much of it is in use, and how much more was asked for. */
  used: number;
  amount: number;
  /** `undefined` where no wait helps. */
  retryAfterMs: number | undefined;
  estimated: boolean;
}

const waitOf = ({ retryAfterMs = Infinity }: Violation): number => retryAfterMs;

/**
 * Makes the refusal of an admission: the code by the kind of limit, never by the time; the wait is the longest that any
 * refusing limit names, so that a retry is never told to come too early.
 */
export function refusalOf(violations: readonly Violation[]): Refusal {
  const longest =
    violations.find(({ limit }) => limit.limit === 0) ??
    violations.reduce((a, b) => (waitOf(b) > waitOf(a) ? b : a));
  const refusal: Refusal = {
    allowed: false,
    violated: violations.map(({ limit }) => limit.name),
    problem: 'quota-exceeded',
    ...wordsOf(longest),
    limit: longest.limit.name,
  };
  if (longest.retryAfterMs !== undefined) refusal.retryAfterMs = longest.retryAfterMs;
  if (longest.estimated) refusal.estimated = true;
  return refusal;
}

function wordsOf({ limit, used, amount }: Violation): Pick<Refusal, 'code' | 'message' | 'info'> {
  if (limit.limit === 0) return { code: 'LIMIT_BLOCKED', message: 'This limit allows no requests' };
  if (limit.kind !== 'quota') return { code: 'RATE_LIMIT_REACHED', message: 'Request limit reached' };
  const { unit, per } = limit;
  const period = per === 'stored' ? 'stored at once' : `per ${per}`;
  const left = Math.max(0, limit.limit - used);
  return {
    code: 'QUOTA_EXCEEDED',
    message: `${limit.limit} ${unit} ${period} are allowed, ${left} are left, and this job takes ${amount}`,
    info: { unit, per, allowed: limit.limit, used, requested: amount },
  };
}
