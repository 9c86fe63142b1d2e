import type { RateLimiterAbstract } from 'rate-limiter-flexible';
import type { LimitMode, LimitState, Refusal } from '../decision.js';

/** Names one job, in any process: what admission hands to the host's queue and `finish` takes back. */
export interface JobRef {
  /** The customer's id, up to 512 bytes of UTF-8. */
  customer: string;
  /** The job's id, unique within its customer, up to 512 bytes of UTF-8. */
  id: string;
}

interface LimitBase {
  /** Unique among the limits of one admission; the counter's key, and what answers and headers call the limit. */
  name: string;
  /** Splits the counter further, for example by model. Limits of one name and different keys count apart. */
  key?: string;
  /** How much is allowed; `Infinity` for no limit, 0 for none at all. */
  limit: number;
  mode: LimitMode;
}

/** At most `limit` admissions in any stretch of `windowMs`, refunded ones not counted. */
export interface RateLimit extends LimitBase {
  kind: 'creation-rate';
  windowMs: number;
}

/** At most `limit` jobs that hold a lease, pending ones included. */
export interface ConcurrencyLimit extends LimitBase {
  kind: 'concurrency';
  /** Hard end of a lease, counted from `commit`, however often it is renewed. */
  maxRunMs: number;
  /** When set, a running job's lease ends unless it is renewed this often. When missing, it lives until `maxRunMs`. */
  heartbeatMs?: number;
}

export type Limit = RateLimit | ConcurrencyLimit;

/**
 * What a job is admitted on. One object a plan, made once and shared by all its admissions, so that a store may keep
 * it, or something computed from it, by reference. Never changed after it is made.
 */
export interface Terms {
  /** The plan's name, for the record. */
  plan?: string;
  limits: readonly Limit[];
  /** How long a pending lease lives without `renew` or `commit`. */
  pendingMs: number;
  /** How long a finished job is remembered, so that a replay is known as one. */
  rememberMs: number;
}

export interface AdmitRequest {
  ref: JobRef;
  /**
   * Made before the call and used for this request's calls only: it tells a second try of the same admission, whose
   * answer was lost, from another request that uses the same job id.
   */
  run: string;
  terms: Terms;
  /**
   * The job was admitted elsewhere and exists, as while this store could not be reached: it is taken in whatever the limits
   * say, beyond them if need be. Its rates are not charged, since their time is over. A store that processes share keeps in
   * mind for a day that an unknown job was finished; the decision is then `replayed`, with the job as it ended.
   */
  adopt?: boolean;
}

/** How a job can end. */
export const endStates = ['completed', 'failed', 'cancelled', 'overrun'] as const;

export type EndState = (typeof endStates)[number];

/** `lapsed`: the pending lease ran out before `commit`, and all charges went back. */
export type JobState = 'pending' | 'lapsed' | 'running' | 'refunded' | EndState;

/** A job as the store knows it. All times are epoch milliseconds. */
export interface StoredJob {
  ref: JobRef;
  state: JobState;
  plan?: string;
  admittedAt: number;
  /** When it was committed. */
  startedAt?: number;
  finishedAt?: number;
  /** When its lease ends if nothing renews it. Missing when it holds none. */
  leaseUntil?: number;
}

interface DecisionBase {
  /** Where each limit stands after this decision, in the order of the request. */
  limits: LimitState[];
  /** Names of the limits in shadow mode that would have refused. */
  shadowed: readonly string[];
}

/** Charged: the job holds a pending lease where its limits ask for one. */
export interface Admitted extends DecisionBase {
  allowed: true;
  replayed: false;
}

/** The id belongs to a job of an earlier request. Nothing was charged; `job` says how far it is. */
export interface Replayed extends DecisionBase {
  allowed: true;
  replayed: true;
  job: StoredJob;
}

/** Nothing was charged at any limit. */
export type Refused = DecisionBase & Refusal;

export type Decision = Admitted | Replayed | Refused;

export interface Usage {
  limits: LimitState[];
  /** Who holds the leases, oldest first. */
  running: StoredJob[];
}

export interface Outcome {
  state: EndState;
}

export interface LimiterOptions {
  /** Namespace of the counters on the back end. */
  keyPrefix: string;
  /** Requests allowed per window. */
  points: number;
  /** The window in whole seconds. */
  duration: number;
}

/** What a store tells without being asked. */
export type StoreEvent =
  | { type: 'lapsed'; ref: JobRef }
  | { type: 'records-dropped'; count: number; reason: string }
  /** A store that can be out of reach answered a call, after so many milliseconds. */
  | { type: 'store-answered'; operation: string; durationMs: number }
  /** A call to the store failed. */
  | { type: 'store-error'; operation: string; error: unknown }
  /** Who decides from now on: the store, or what `onStoreError` says. `partition` names the node of a Cluster, else ''. */
  | { type: 'store-switched'; to: 'store' | 'local' | 'allow' | 'deny'; partition: string }
  /**
   * What happened while the store could not be reached was told to it: so many jobs that were admitted meanwhile run and
   * are counted now; so many changes were too many to keep.
   */
  | { type: 'journal-written'; adopted: number; dropped: number };

/**
 * Where limits are counted. Every operation is atomic: of two that race, one sees all of the other or nothing.
 * Times inside are the store's own clock, never the caller's, so that processes need not agree on the time.
 * Customers, jobs and overrides that were never seen are not errors: the answers say `unknown`, `undefined` or empty.
 *
 * Each operation throws `StoreError` and nothing else: `STORE_UNAVAILABLE` when the back end did not answer (the
 * operation may or may not have happened; calling again is safe), `STORE_FULL` when it can't take more, `STORE_CLOSED`
 * after `close`.
 *
 * docs/architecture.md has the table of states and operations; `storeContract` in `express-job-limits/testing` tests it.
 */
export interface LimitStore {
  /**
   * Frees lapsed leases, applies the customer's override, checks every limit, and then charges all of them or none.
   *
   * - A new job, or one that was refunded or has lapsed: decided afresh.
   * - The same id and run: limits already charged to it are not charged again, they only refuse when more than `limit` is
   *   in use; others are added to the same job, all or none.
   * - The same id and another run: `replayed`.
   */
  admit(request: AdmitRequest): Promise<Decision>;

  /**
   * Pending → running. `reinstated` when the pending lease had run out: lease and charges are restored, beyond the limit
   * if need be, since the job exists. `superseded`, when `run` is given and the id was meanwhile admitted by another run.
   */
  commit(
    ref: JobRef,
    run?: string,
  ): Promise<'committed' | 'already' | 'reinstated' | 'superseded' | 'finished' | 'refunded' | 'unknown'>;

  /**
   * Gives back exactly what `run` of this job was charged: the lease always, the rate for at most `limit` refunds in a
   * window, so that a loop of failing creations is still stopped. `nothing` the second time, for another run, after
   * `finish` and for an unknown job.
   */
  refund(ref: JobRef, run: string): Promise<'refunded' | 'nothing'>;

  /**
   * Heartbeat: a pending lease gets `pendingMs` from now, a running one `heartbeatMs`, never beyond `startedAt +
   * maxRunMs`. `reinstated` when the lease had been freed meanwhile: it is held again, beyond the limit if need be.
   */
  renew(ref: JobRef): Promise<'renewed' | 'reinstated' | 'overrun' | 'finished' | 'refunded' | 'unknown'>;

  /** Ends the job and frees its lease, exactly once. On a pending or lapsed job it commits first. */
  finish(ref: JobRef, outcome: Outcome): Promise<'finished' | 'already' | 'refunded' | 'unknown'>;

  /** Where the customer stands at these limits, with its override applied. Charges nothing. */
  usage(customer: string, limits: readonly Limit[]): Promise<Usage>;

  /** The stored job, or `undefined` when it was never seen or is forgotten. */
  job(ref: JobRef): Promise<StoredJob | undefined>;

  /**
   * Makes the leases agree with the host's own list of running jobs: running jobs that are not listed are finished as
   * `completed`, listed ones without a lease get one, on `terms` where the store doesn't know them. Pending jobs and those
   * committed less than `graceMs` ago are left alone, since the list may be older than they are.
   */
  reconcile(
    customer: string,
    runningIds: readonly string[],
    terms: Terms,
    graceMs: number,
  ): Promise<{ finished: string[]; restored: string[] }>;

  /**
   * Stores limits that replace those of the same name and kind for this customer, from the next `admit` on and in every
   * process; `null` removes them. A limit keeps its own `key`, so that it stays the same counter. Names that an admission doesn't carry have no effect on it. What runs is never ended by it.
   */
  setOverride(customer: string, limits: readonly Limit[] | null): Promise<void>;

  /** The stored override, or `null`. */
  override(customer: string): Promise<readonly Limit[] | null>;

  /** A rate-limiter-flexible limiter on the same back end, for plain windows of requests. */
  limiter(options: LimiterOptions): RateLimiterAbstract;

  /** Calls the listener at every event, until the function it returns is called. Listeners must not throw. */
  subscribe(listener: (event: StoreEvent) => void): () => void;

  /** Forgets everything: jobs, counters, overrides. Limiters made before keep their counts. For tests. */
  clear(): Promise<void>;

  /** Gives back what the store itself opened, timers included. Every operation afterwards throws `STORE_CLOSED`. */
  close(): Promise<void>;
}

/** The methods of a store, for checking what was given as one. */
export const storeMethods = [
  'admit',
  'commit',
  'refund',
  'renew',
  'finish',
  'usage',
  'job',
  'reconcile',
  'setOverride',
  'override',
  'limiter',
  'subscribe',
  'clear',
  'close',
] as const satisfies readonly (keyof LimitStore)[];

/** Names the counter of a limit within its customer. */
export const counterOf = (limit: Limit): string =>
  limit.key === undefined ? limit.name : `${limit.name}\0${limit.key}`;
