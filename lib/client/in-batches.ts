import { optionError } from './option-error.js';

/**
 * Splits a list into batches of at most `limit`, in order: one job a batch, where a job takes only so many URLs.
 *
 * @throws {TypeError} With code `CONFIG_INVALID_OPTION` when `limit` is not a whole number of at least 1.
 *
 * @example
 * for (const batch of inBatches(urls, 100)) {
 *   await api('/v0/batch/jobs', { method: 'POST', body: JSON.stringify({ urls: batch }) });
 * }
 */
export function inBatches<T>(items: Iterable<T>, limit: number): T[][] {
  if (!Number.isSafeInteger(limit) || limit < 1)
    throw optionError('inBatches.limit', 'a whole number of at least 1', limit);
  const all = Array.from(items);
  const batches: T[][] = [];
  for (let from = 0; from < all.length; from += limit) batches.push(all.slice(from, from + limit));
  return batches;
}
