import type { Request, Response } from 'express';
import type { LimitState, QuotaPeriod } from '../decision.js';
import { stateOfRequest } from './request-state.js';

/**
 * Adds the limits to `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11), beside those that other
 * middlewares of this request have checked. Shadow limits and infinite ones are nobody's business; a quota of a unit that
 * the draft has no word for can't be said.
 */
export function showLimits(req: Request, res: Response, limits: readonly LimitState[]): LimitState[] {
  const state = stateOfRequest(req);
  const shown = state.limits.length === 0 ? [...limits] : merged(state.limits, limits);
  state.limits = shown;
  let policies = '';
  let states = '';
  for (const limit of shown) {
    if (limit.mode === 'shadow' || limit.limit === Infinity) continue;
    const unit = quotaUnitOf(limit);
    if (unit === undefined) continue;
    policies += (policies === '' ? '' : ', ') + policyOf(limit, unit);
    states += (states === '' ? '' : ', ') + stateItemOf(limit);
  }
  if (policies !== '' && !res.headersSent) {
    res.setHeader('RateLimit-Policy', policies);
    res.setHeader('RateLimit', states);
  }
  return shown;
}

/** The draft's quota units, of which only registered ones may be sent; '' for the default, requests. */
function quotaUnitOf({ kind, unit }: LimitState): string | undefined {
  if (kind === 'concurrency') return ';qu="concurrent-requests"';
  if (kind !== 'quota' || unit === 'jobs') return '';
  return unit === 'bytes' ? ';qu="content-bytes"' : undefined;
}

/** The hour and the day are always as long; a month is not. */
const PERIOD_S: Partial<Record<QuotaPeriod, number>> = { hour: 3600, day: 86_400 };

/** `w` is an integer above 0: a window under a second can't be said. */
function windowOf({ windowMs = 0, per }: LimitState): number | undefined {
  if (per !== undefined) return PERIOD_S[per];
  return windowMs < 1000 ? undefined : Math.round(windowMs / 1000);
}

function policyOf(state: LimitState, unit: string): string {
  const policy = `"${state.name}";q=${integer(state.limit)}${unit}`;
  const windowS = windowOf(state);
  return windowS === undefined ? policy : `${policy};w=${windowS}`;
}

/** RFC 9651 has integers of up to 15 digits, and a header with a longer one is ignored. */
const integer = (value: number): number => Math.min(value, 999_999_999_999_999);

function stateItemOf({ name, remaining, resetAfterMs }: LimitState): string {
  return resetAfterMs === undefined
    ? `"${name}";r=${integer(remaining)}`
    : `"${name}";r=${integer(remaining)};t=${Math.ceil(resetAfterMs / 1000)}`;
}

function merged(earlier: readonly LimitState[], limits: readonly LimitState[]): LimitState[] {
  const names = new Set(limits.map(({ name }) => name));
  return [...earlier.filter(({ name }) => !names.has(name)), ...limits];
}
