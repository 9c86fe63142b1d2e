import type { Request } from 'express';
import { describe, RequestError } from '../errors.js';
import { isId, MOST_ID_BYTES } from '../http/customer.js';
import type { Plans, ResolvedPlan } from '../plans/plans.js';
import { REMEMBER_MS } from '../plans/terms.js';
import type { Limit, Terms } from '../stores/store.js';

/** Which limits a request is admitted on. */
export type TermsOf = (req: Request, customer: string) => Terms | Promise<Terms>;

/** All limits of the customer's plan, or those of one kind. */
export function termsByPlan(plans: Plans, kind?: Limit['kind']): TermsOf {
  const some = new WeakMap<Terms, Terms>();
  const pick = ({ terms }: ResolvedPlan): Terms => {
    if (kind === undefined) return terms;
    let picked = some.get(terms);
    if (picked === undefined) {
      picked = { ...terms, limits: terms.limits.filter((limit) => limit.kind === kind) };
      some.set(terms, picked);
    }
    return picked;
  };
  return (_req, customer) => {
    const plan = plans.of(customer);
    return plan instanceof Promise ? plan.then(pick) : pick(plan);
  };
}

/** One limit, the same for all customers, counted apart by `key(req)` where there is one. */
export function fixedTerms(
  limit: Limit,
  pendingMs: number,
  key: ((req: Request) => string) | undefined,
  rememberMs = REMEMBER_MS,
): TermsOf {
  const terms: Terms = { limits: [limit], pendingMs, rememberMs };
  if (key === undefined) return () => terms;
  return (req) => ({ ...terms, limits: [{ ...limit, key: checkedKey(key(req)) }] });
}

function checkedKey(key: unknown): string {
  if (isId(key)) return key;
  const expected = `expected a string of 1 to ${MOST_ID_BYTES} bytes of UTF-8`;
  throw new RequestError('LIMIT_KEY_INVALID', 500, `key(req): ${expected}, received ${describe(key)}`);
}
