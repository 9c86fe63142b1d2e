import type { StoredJob } from '../store.js';
import type { Customer } from './customer.js';
import type { Times } from './times.js';
import { NEVER, type JobRecord } from './job-record.js';
import { expiredOf } from './retention.js';

/** The job as the store's users see it. */
export function describeJob(customer: Customer, job: JobRecord, { now, date }: Times): StoredJob {
  const wall = (time: number): number => date - (now - time);
  const described: StoredJob = {
    ref: { customer: customer.id, id: job.id },
    state: job.state,
    admittedAt: wall(job.at),
  };
  if (job.terms.plan !== undefined) described.plan = job.terms.plan;
  if (job.startedAt !== NEVER) described.startedAt = wall(job.startedAt);
  if (job.finishedAt !== undefined) described.finishedAt = job.finishedAt;
  if (customer.leased.has(job.id)) described.leaseUntil = wall(job.until);
  if (job.pinned !== undefined) described.pinned = job.pinned;
  if (job.kept !== undefined) {
    described.resultsExpireAt = job.kept.resultsExpireAt;
    described.metadataExpireAt = job.kept.metadataExpireAt;
    const expired = expiredOf(job.kept, job.pinned !== undefined, date);
    if (expired !== undefined) described.expired = expired;
  }
  return described;
}

/** The kept jobs whose results expire first, without going through a sort of all of them. */
export function soonest(jobs: Iterable<JobRecord>, most: number, date: number): JobRecord[] {
  const found: JobRecord[] = [];
  const expiry = (job: JobRecord): number => job.kept!.resultsExpireAt;
  for (const job of most === 0 ? [] : jobs) {
    if (expiredOf(job.kept!, job.pinned !== undefined, date) !== undefined) continue;
    const last = found.at(-1);
    if (found.length === most && expiry(job) >= expiry(last!)) continue;
    if (found.length === most) found.pop();
    const place = found.findLastIndex((other) => expiry(other) <= expiry(job));
    found.splice(place + 1, 0, job);
  }
  return found;
}
