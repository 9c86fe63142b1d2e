import type { Refusal } from '../decision.js';

/** What a request gets that could not be decided because the store did not answer. Nothing was charged for it. */
export const storeUnavailable: Refusal = {
  allowed: false,
  code: 'STORE_UNAVAILABLE',
  message: 'Limits can not be checked right now',
  status: 503,
  violated: [],
  problem: 'temporary-reduced-capacity',
  retryAfterMs: 1000,
};
