import type { Request, Response } from 'express';
import type { LimitState } from '../decision.js';
import { stateOfRequest } from './request-state.js';

/**
 * Adds the limits to `RateLimit-Policy` and `RateLimit` (draft-ietf-httpapi-ratelimit-headers-11), beside those that other
 * middlewares of this request have checked. Shadow limits and infinite ones are nobody's business.
 */
export function showLimits(req: Request, res: Response, limits: readonly LimitState[]): LimitState[] {
  const state = stateOfRequest(req);
  const shown = state.limits.length === 0 ? [...limits] : merged(state.limits, limits);
  state.limits = shown;
  let policies = '';
  let states = '';
  for (const limit of shown) {
    if (limit.mode === 'shadow' || limit.limit === Infinity) continue;
    policies += (policies === '' ? '' : ', ') + policyOf(limit);
    states += (states === '' ? '' : ', ') + stateItemOf(limit);
  }
  if (policies !== '' && !res.headersSent) {
    res.setHeader('RateLimit-Policy', policies);
    res.setHeader('RateLimit', states);
  }
  return shown;
}

function policyOf({ name, kind, limit, windowMs }: LimitState): string {
  if (kind === 'concurrency') return `"${name}";q=${limit};qu="concurrent-requests"`;
  // `w` is an integer above 0: a window under a second can't be said.
  return windowMs === undefined || windowMs < 1000
    ? `"${name}";q=${limit}`
    : `"${name}";q=${limit};w=${Math.round(windowMs / 1000)}`;
}

function stateItemOf({ name, remaining, resetAfterMs }: LimitState): string {
  return resetAfterMs === undefined
    ? `"${name}";r=${remaining}`
    : `"${name}";r=${remaining};t=${Math.ceil(resetAfterMs / 1000)}`;
}

function merged(earlier: readonly LimitState[], limits: readonly LimitState[]): LimitState[] {
  const names = new Set(limits.map(({ name }) => name));
  return [...earlier.filter(({ name }) => !names.has(name)), ...limits];
}
