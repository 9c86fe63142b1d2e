export { retrying } from './retrying.js';
export type { Fetch, RetryEvent, RetryingFetch, RetryingInit, RetryingOptions } from './options.js';
export { LimitError } from './limit-error.js';
export { TokenBucket, type TokenBucketOptions } from './token-bucket.js';
export { inBatches } from './in-batches.js';
export type { ClientClock, Sleep } from './time.js';
