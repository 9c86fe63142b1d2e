import { StoreError } from '../../errors.js';

/** Whether an error of a store means that it can't be used now, rather than that it is misused or closed. */
export const isOutage = (error: unknown): error is StoreError =>
  error instanceof StoreError && (error.code === 'STORE_UNAVAILABLE' || error.code === 'STORE_FULL');
