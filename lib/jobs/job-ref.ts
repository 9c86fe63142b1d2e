import { describe, RequestError } from '../errors.js';
import type { JobRef } from '../stores/store.js';

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

/** A worker gets the ref through a queue: a wrong one is told at once, not counted as an unknown job. */
export function checkedRef(ref: JobRef): JobRef {
  const { customer, id } = (ref ?? {}) as Partial<JobRef>;
  if (isId(customer) && isId(id)) return { customer, id };
  throw new RequestError(
    'JOB_REF_INVALID',
    400,
    `expected a job ref { customer, id }, strings of 1 to ${MOST_ID_BYTES} bytes of UTF-8, received ${describe(ref)}`,
  );
}

/** A customer named by an operator or a program, not by a request. */
export function checkedCustomer(customer: unknown): string {
  if (isId(customer)) return customer;
  throw new RequestError('CUSTOMER_INVALID', 400, `expected a customer's id, received ${describe(customer)}`);
}
