import { endStates, type EndState, type LimitStore } from '../store.js';
import type { Customer } from './customer.js';
import type { JobRecord } from './job-record.js';
import { expiredOf } from './retention.js';

type Answer<K extends 'pin' | 'unpin' | 'extend' | 'expireNow'> = Awaited<ReturnType<LimitStore[K]>>;

const hasEnded = ({ state }: JobRecord): boolean => endStates.includes(state as EndState);
/** Nothing runs and nothing has run. */
const wasUndone = ({ state }: JobRecord): boolean => state === 'refunded' || state === 'lapsed';

export function pin(customer: Customer, job: JobRecord, reason: string, date: number): Answer<'pin'> {
  if (wasUndone(job)) return 'unknown';
  if (hasEnded(job)) {
    if (job.kept === undefined) return 'not-retained';
    if (expiredOf(job.kept, job.pinned !== undefined, date) !== undefined) return 'expired';
  }
  job.extras.pinned = reason;
  if (job.kept !== undefined) customer.ledger.due.kept(customer, job);
  return 'pinned';
}

export function unpin(customer: Customer, job: JobRecord): Answer<'unpin'> {
  if (job.pinned === undefined) return 'not-pinned';
  job.extras.pinned = undefined;
  if (job.kept !== undefined) customer.ledger.due.kept(customer, job);
  return 'unpinned';
}

export function extend(customer: Customer, job: JobRecord, to: number, date: number): Answer<'extend'> {
  if (wasUndone(job)) return 'unknown';
  if (!hasEnded(job)) return 'unfinished';
  const { kept } = job;
  if (kept === undefined) return 'not-retained';
  if (expiredOf(kept, job.pinned !== undefined, date) !== undefined) return 'expired';
  if (to <= kept.resultsExpireAt) return 'kept';
  kept.resultsExpireAt = to;
  kept.metadataExpireAt = Math.max(kept.metadataExpireAt, to);
  kept.noticeMs = Math.min(job.terms.retention?.noticeMs ?? 0, to - date);
  customer.ledger.due.kept(customer, job);
  return 'extended';
}

export function expireNow(
  customer: Customer,
  job: JobRecord,
  force: boolean,
  date: number,
): Answer<'expireNow'> {
  if (wasUndone(job)) return 'unknown';
  if (!hasEnded(job)) return 'unfinished';
  const { kept } = job;
  if (kept === undefined) return 'not-retained';
  if (job.pinned !== undefined && !force) return 'pinned';
  const already = expiredOf(kept, job.pinned !== undefined, date) !== undefined;
  job.extras.pinned = undefined;
  kept.resultsExpireAt = Math.min(kept.resultsExpireAt, date);
  kept.noticeMs = 0;
  if (!already || job.task?.at === Infinity) customer.ledger.due.kept(customer, job);
  return already ? 'already' : 'expired';
}
