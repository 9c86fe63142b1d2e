import type { Request } from 'express';
import { describe, RequestError } from '../errors.js';
import type { Amounts } from '../stores/store.js';

/** Says how much a job takes of each unit: whole numbers of at least 0. Units left out are 0, but `jobs` is 1. */
export type CostOf = (req: Request) => Amounts | Promise<Amounts>;

/**
 * What the job of this request costs.
 *
 * @throws {RequestError} `COST_FAILED` (500), `COST_INVALID` (400)
 */
export async function costOfRequest(req: Request, costOf: CostOf): Promise<Amounts> {
  let cost: unknown;
  try {
    cost = await costOf(req);
  } catch (cause) {
    throw new RequestError('COST_FAILED', 500, `cost(req) failed: ${String(cause)}`, { cause });
  }
  if (typeof cost !== 'object' || cost === null || Array.isArray(cost)) {
    throw invalid('cost(req)', 'an object of amounts by unit', cost);
  }
  for (const [unit, amount] of Object.entries(cost)) {
    if (!Number.isSafeInteger(amount) || (amount as number) < 0) {
      throw invalid(`cost(req).${unit}`, 'a whole number of at least 0', amount);
    }
  }
  return cost as Amounts;
}

const invalid = (what: string, expected: string, received: unknown): RequestError =>
  new RequestError('COST_INVALID', 400, `${what}: expected ${expected}, received ${describe(received)}`);
