import type { Request } from 'express';
import { describe, RequestError } from '../errors.js';
import { stateOfRequest } from './request-state.js';

/** Says who is limited: an authenticated customer's id, or `undefined` when there is none. */
export type CustomerOf = (req: Request) => string | undefined | null | Promise<string | undefined | null>;

/** Longest customer id and job id, in bytes of UTF-8. */
export const MOST_ID_BYTES = 512;

/** Whether the text can be an id: not empty, at most 512 bytes, and the same text once it was encoded as UTF-8. */
export function isId(value: unknown): value is string {
  if (typeof value !== 'string' || value === '') return false;
  // Three bytes are the most that one UTF-16 unit takes, so that most ids need no counting.
  if (value.length * 3 > MOST_ID_BYTES && Buffer.byteLength(value) > MOST_ID_BYTES) return false;
  return isWellFormed(value);
}

/** A lone surrogate would turn into U+FFFD on its way to a store, and two ids into one. Node 20's, not yet in the types. */
const isWellFormed = (value: string): boolean =>
  (value as string & { isWellFormed(): boolean }).isWellFormed();

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
