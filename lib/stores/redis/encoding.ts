import { createHash } from 'node:crypto';
import {
  amountOf,
  counterOf,
  type AdmitRequest,
  type Amounts,
  type EndState,
  type JobState,
  type Limit,
  type Override,
  type StoredJob,
  type Terms,
} from '../store.js';

/** Terms or an override as scripts take them. Limits are JSON objects; one without `limit` has none. */
export interface Encoded {
  /** Names the JSON within a customer's book. */
  readonly ref: string;
  readonly json: string;
}

/** Terms as admit.lua takes them: the numbers that it decides by are read without decoding the JSON. */
export interface EncodedTerms extends Encoded {
  readonly args: readonly string[];
  /** How long a job runs at most, as far as quotas mind, in milliseconds. */
  readonly maxRun: string;
}

const REF_LENGTH = 8;

const encodeLimit = (limit: Limit): unknown =>
  limit.limit === Infinity ? { ...limit, limit: undefined } : limit;

/** A limit as it was before it was encoded. */
export const decodeLimit = (limit: Omit<Limit, 'limit'> & { limit?: number }): Limit =>
  ({ ...limit, limit: limit.limit ?? Infinity }) as Limit;

export function encodeLimits(limits: readonly Limit[], more: Partial<Terms & Override> = {}): Encoded {
  const json = JSON.stringify({ ...more, limits: limits.map(encodeLimit) });
  const ref = createHash('sha1').update(json).digest('base64url').slice(0, REF_LENGTH);
  return { ref, json };
}

const encodedTerms = new WeakMap<Terms, EncodedTerms>();

const kinds: Record<Limit['kind'], string> = { 'creation-rate': 'w', concurrency: 'n', quota: 'q' };
const ARGS_PER_LIMIT = 4;
/** Which of these has a quota's amount. */
const AMOUNT = 2;
/** How long a job is taken to run at most where nothing says so. */
const LONGEST_RUN_MS = 30 * 24 * 3_600_000;

const measureOf = (limit: Limit, amounts?: Amounts): string => {
  if (limit.kind === 'quota') return `${limit.per.charAt(0)}${amountOf(limit, amounts)}`;
  return limit.kind === 'creation-rate' ? String(limit.windowMs) : '';
};

const argsOf = (limit: Limit): string[] => [
  kinds[limit.kind] + counterOf(limit),
  limit.limit === Infinity ? '' : String(limit.limit),
  measureOf(limit),
  limit.mode === 'shadow' ? '1' : '',
];

/** The limits as admit.lua takes them, with what their quotas are to be charged. */
export function encodeAmounts({ args }: EncodedTerms, { terms, amounts }: AdmitRequest): readonly string[] {
  if (amounts === undefined) return args;
  const filled = [...args];
  terms.limits.forEach((limit, i) => {
    if (limit.kind === 'quota') filled[i * ARGS_PER_LIMIT + AMOUNT] = measureOf(limit, amounts);
  });
  return filled;
}

/** Encoded once for each object, since a plan's terms are one object for all its admissions. */
export function encodeTerms(terms: Terms): EncodedTerms {
  let encoded = encodedTerms.get(terms);
  if (encoded === undefined) {
    const { limits, ...more } = terms;
    encoded = {
      ...encodeLimits(limits, more),
      args: limits.flatMap(argsOf),
      maxRun: String(
        limits.reduce(
          (least, limit) => (limit.kind === 'concurrency' ? Math.min(least, limit.maxRunMs) : least),
          LONGEST_RUN_MS,
        ),
      ),
    };
    encodedTerms.set(terms, encoded);
  }
  return encoded;
}

const states: Record<string, JobState> = {
  p: 'pending',
  l: 'lapsed',
  r: 'running',
  u: 'refunded',
  c: 'completed',
  f: 'failed',
  x: 'cancelled',
  o: 'overrun',
};

const endCodes: Record<EndState, string> = { completed: 'c', failed: 'f', cancelled: 'x', overrun: 'o' };

/** The state as records write it. */
export const encodeEnd = (state: EndState): string => endCodes[state];

export function decodeJob(customer: string, reply: unknown[]): StoredJob {
  const [id, state, admittedAt, startedAt, finishedAt, leaseUntil, plan, results, metadata, expired, pinned] =
    reply;
  const job: StoredJob = {
    ref: { customer, id: String(id) },
    state: states[String(state)]!,
    admittedAt: Number(admittedAt),
  };
  if (plan !== '') job.plan = String(plan);
  if (startedAt !== '') job.startedAt = Number(startedAt);
  if (finishedAt !== '') job.finishedAt = Number(finishedAt);
  if (leaseUntil !== '') job.leaseUntil = Number(leaseUntil);
  if (results !== '') job.resultsExpireAt = Number(results);
  if (metadata !== '') job.metadataExpireAt = Number(metadata);
  if (expired !== '') job.expired = expired as 'results' | 'metadata';
  if (pinned !== '') job.pinned = String(pinned);
  return job;
}
