import type { Request } from 'express';
import { describe, RequestError } from '../errors.js';
import { isId, MOST_ID_BYTES } from '../jobs/job-ref.js';
import { stateOfRequest } from './request-state.js';

export { isId, MOST_ID_BYTES };

/** Says who is limited: an authenticated customer's id, or `undefined` when there is none. */
export type CustomerOf = (req: Request) => string | undefined | null | Promise<string | undefined | null>;

/**
 * The customer of the request, asked for once a request by all middlewares that
 * share the function.
 *
 * @throws {RequestError} `CUSTOMER_MISSING` (401), `CUSTOMER_INVALID` (400), `CUSTOMER_FAILED` (500, or the status of the
 *   error that `customer` threw where that is one).
 */
export function customerOfRequest(req: Request, customerOf: CustomerOf): string | Promise<string> {
  const state = stateOfRequest(req);
  if (state.customerOf !== customerOf) {
    state.customer = ask(req, customerOf);
    state.customerOf = customerOf;
  }
  return state.customer;
}

function ask(req: Request, customerOf: CustomerOf): string | Promise<string> {
  try {
    const customer = customerOf(req);
    return isThenable(customer) ? Promise.resolve(customer).then(checked, failed) : checked(customer);
  } catch (error) {
    return failed(error);
  }
}

const isThenable = (value: unknown): value is PromiseLike<string | undefined | null> =>
  typeof (value as PromiseLike<unknown> | null | undefined)?.then === 'function';

function checked(customer: string | undefined | null): string {
  if (isId(customer)) return customer;
  if (customer === undefined || customer === null || customer === '') {
    throw new RequestError('CUSTOMER_MISSING', 401, 'customer(req) knows nobody to charge this request to');
  }
  throw new RequestError(
    'CUSTOMER_INVALID',
    400,
    `customer(req): expected a string of at most ${MOST_ID_BYTES} bytes of UTF-8, received ${describe(customer)}`,
  );
}

function failed(cause: unknown): never {
  if (cause instanceof RequestError) throw cause;
  const { status } = (cause ?? {}) as { status?: unknown };
  const known = typeof status === 'number' && status >= 400 && status < 600 ? status : 500;
  throw new RequestError('CUSTOMER_FAILED', known, `customer(req) failed: ${String(cause)}`, { cause });
}
