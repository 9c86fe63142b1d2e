import { createHash } from 'node:crypto';
import { limitState } from '../limit-state.js';
import { refusalOf, type Violation } from '../refusal.js';
import type { LimitState } from '../../decision.js';
import {
  counterOf,
  type AdmitRequest,
  type Decision,
  type EndState,
  type JobState,
  type Limit,
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
}

const REF_LENGTH = 8;

const encodeLimit = (limit: Limit): unknown =>
  limit.limit === Infinity ? { ...limit, limit: undefined } : limit;

export function encodeLimits(limits: readonly Limit[], more: Partial<Terms> = {}): Encoded {
  const json = JSON.stringify({ ...more, limits: limits.map(encodeLimit) });
  const ref = createHash('sha1').update(json).digest('base64url').slice(0, REF_LENGTH);
  return { ref, json };
}

const encodedTerms = new WeakMap<Terms, EncodedTerms>();

const argsOf = (limit: Limit): string[] => [
  (limit.kind === 'concurrency' ? 'n' : 'w') + counterOf(limit),
  limit.limit === Infinity ? '' : String(limit.limit),
  limit.kind === 'creation-rate' ? String(limit.windowMs) : '',
  limit.mode === 'shadow' ? '1' : '',
];

/** Encoded once for each object, since a plan's terms are one object for all its admissions. */
export function encodeTerms(terms: Terms): EncodedTerms {
  let encoded = encodedTerms.get(terms);
  if (encoded === undefined) {
    const { limits, ...more } = terms;
    encoded = {
      ...encodeLimits(limits, more),
      args: limits.flatMap(argsOf),
    };
    encodedTerms.set(terms, encoded);
  }
  return encoded;
}

/** An override as it was stored; `null` where there is none. */
export function decodeOverride(json: string): Limit[] | null {
  if (json === '') return null;
  const { limits } = JSON.parse(json) as { limits: (Omit<Limit, 'limit'> & { limit?: number })[] };
  return limits.map((limit) => ({ ...limit, limit: limit.limit ?? Infinity }) as Limit);
}

/** The limits that really hold: each replaced by the override's of the same name and kind, its key kept. */
export function effectiveLimits(limits: readonly Limit[], overrideJson: string): readonly Limit[] {
  const override = decodeOverride(overrideJson);
  if (override === null) return limits;
  const byName = new Map(override.map((limit) => [limit.name, limit]));
  return limits.map((limit) => {
    const other = byName.get(limit.name);
    if (other?.kind !== limit.kind) return limit;
    const replacement = { ...other };
    if (limit.key === undefined) delete replacement.key;
    else replacement.key = limit.key;
    return replacement;
  });
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

type Reply = unknown[];

export function decodeJob(customer: string, reply: Reply): StoredJob {
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

const stateOf = (limit: Limit, used: number, resetMs: number): LimitState =>
  limitState(limit, used, resetMs < 0 ? undefined : resetMs);

const REPLAYED = 2;

/** What admit.lua answered. */
export function decodeDecision({ ref, terms }: AdmitRequest, reply: Reply): Decision {
  const [code, , third, shadowIndexes] = reply;
  if (Number(code) === REPLAYED) {
    const job = decodeJob(ref.customer, third as Reply);
    return { allowed: true, replayed: true, limits: [], shadowed: [], job };
  }
  const limits = effectiveLimits(terms.limits, String(third));
  const at = (index: unknown): Limit => limits[Number(index) - 1]!;
  const shadowed =
    shadowIndexes === ''
      ? []
      : String(shadowIndexes)
          .split(',')
          .map((index) => at(index).name);
  const limitStates: LimitState[] = [];
  const violations: Violation[] = [];
  for (let i = 4; i < reply.length; i += 4) {
    const limit = at(reply[i]);
    const retryAfterMs = Number(reply[i + 3]);
    limitStates.push(stateOf(limit, Number(reply[i + 1]), Number(reply[i + 2])));
    if (retryAfterMs < 0) continue;
    violations.push({
      limit,
      used: Number(reply[i + 1]),
      amount: 1,
      retryAfterMs: limit.limit === 0 ? undefined : retryAfterMs,
      estimated: limit.kind === 'concurrency' && limit.limit > 0,
    });
  }
  if (violations.length === 0) return { allowed: true, replayed: false, limits: limitStates, shadowed };
  return { ...refusalOf(violations), limits: limitStates, shadowed };
}

/** What usage.lua answered of the limits. */
export function decodeStates(asked: readonly Limit[], overrideJson: string, rows: Reply): LimitState[] {
  const limits = effectiveLimits(asked, overrideJson);
  const decoded: LimitState[] = [];
  for (let i = 0; i < rows.length; i += 3) {
    decoded.push(stateOf(limits[Number(rows[i]) - 1]!, Number(rows[i + 1]), Number(rows[i + 2])));
  }
  return decoded;
}
