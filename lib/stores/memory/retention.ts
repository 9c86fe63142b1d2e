import type { Due, EndState, Outcome, RetentionTimes, Terms } from '../store.js';

/** A record that nobody has swept is dropped so long after its last time. */
export const UNSWEPT_MS = 30 * 24 * 3_600_000;

/** What a finished job leaves behind, and what has become of it. Times are dates. */
export interface Kept {
  resultsExpireAt: number;
  metadataExpireAt: number;
  /** How long before the results expire it is announced; 0 where it was, or never is. */
  noticeMs: number;
  /** Whether the deletion of the results was confirmed. */
  deleted: boolean;
  /** What it was charged at limits of what is stored, given back once the results are deleted. */
  stored: { counter: string; amount: number }[] | undefined;
}

/** How long a job that ends so is kept; `undefined` where nothing of it is. */
export function timesOf(
  { retention }: Terms,
  state: EndState,
  outcome: Outcome['retention'],
): RetentionTimes | undefined {
  if (outcome !== undefined) return outcome;
  const failed = state === 'failed' || state === 'overrun';
  return failed ? (retention?.failed ?? retention) : retention;
}

/** What a kept job is due for next, and when, unless its results are held. */
export function nextTask(kept: Kept): { due: Due; at: number } {
  if (kept.deleted) return { due: 'metadata', at: kept.metadataExpireAt };
  if (kept.noticeMs > 0) return { due: 'expiring', at: kept.resultsExpireAt - kept.noticeMs };
  return { due: 'results', at: kept.resultsExpireAt };
}

export function expiredOf(kept: Kept, pinned: boolean, date: number): 'results' | 'metadata' | undefined {
  if (pinned || date < kept.resultsExpireAt) return undefined;
  return date < kept.metadataExpireAt ? 'results' : 'metadata';
}
