import type { Limit, Terms } from '../stores/store.js';
import { DEFAULT_MAX_RUN_MS } from './limits.js';
import type { CheckedPlan } from './plan.js';

export const DEFAULT_PENDING_MS = 60_000;
/** How long a finished job is remembered where the plan says nothing of retention. */
export const REMEMBER_MS = 24 * 3_600_000;

/** What stands where a plan has no limit of a kind: it counts nothing, and is there for an override. */
const places: { [K in 'creation-rate' | 'concurrency']: Limit } = {
  'creation-rate': {
    kind: 'creation-rate',
    name: 'creation-rate',
    limit: Infinity,
    windowMs: 60_000,
    mode: 'enforce',
  },
  concurrency: {
    kind: 'concurrency',
    name: 'concurrency',
    limit: Infinity,
    maxRunMs: DEFAULT_MAX_RUN_MS,
    mode: 'enforce',
  },
};

/**
 * What a plan's jobs are admitted on. A creation rate and a concurrency limit that the plan leaves out are there as
 * infinite ones under their default names, so that an override can set them, and so that every job holds a lease.
 */
export function termsOfPlan({ name, limits, jobRetention }: CheckedPlan, pendingMs: number): Terms {
  const of = (kind: Limit['kind']): Limit[] => limits.filter((limit) => limit.kind === kind);
  const orPlace = (kind: keyof typeof places): Limit[] => {
    const own = of(kind);
    return own.length > 0 ? own : [places[kind]];
  };
  const terms: Terms = {
    limits: [...orPlace('creation-rate'), ...orPlace('concurrency'), ...of('quota')],
    pendingMs,
    rememberMs: REMEMBER_MS,
  };
  if (name !== undefined) terms.plan = name;
  if (jobRetention !== undefined) terms.retention = jobRetention;
  return terms;
}
