import type { LimitState } from '../decision.js';
import type { Limit } from './store.js';

/** Where a limit stands. One function makes them all, so that they are all of one shape, which V8 reads fastest. */
export function limitState(limit: Limit, used: number, resetAfterMs: number | undefined): LimitState {
  const isQuota = limit.kind === 'quota';
  return {
    name: limit.name,
    kind: limit.kind,
    limit: limit.limit,
    used,
    remaining: Math.max(0, limit.limit - used),
    resetAfterMs,
    windowMs: limit.kind === 'creation-rate' ? limit.windowMs : undefined,
    unit: isQuota ? limit.unit : undefined,
    per: isQuota ? limit.per : undefined,
    mode: limit.mode,
  };
}
