import type { RateLimiterAbstract } from 'rate-limiter-flexible';
import type { LimitMode, LimitState, QuotaPeriod, Refusal } from '../decision.js';

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

/**
 * At most `limit` of a unit per period: what jobs are admitted with adds up, corrected by what they turn out to use. An
 * amount belongs to the period in which its job was admitted. With `per: 'stored'` it is given back when the job's results
 * are deleted, or when the job ends where none are kept.
 */
export interface QuotaLimit extends LimitBase {
  kind: 'quota';
  /** What is counted, such as `jobs` or `audioSeconds`. */
  unit: string;
  per: QuotaPeriod;
}

export type Limit = RateLimit | ConcurrencyLimit | QuotaLimit;

/** Amounts by unit: whole numbers of at least 0. A unit that is left out is 0; `jobs` is 1. */
export type Amounts = Readonly<Record<string, number>>;

/** How long what a job leaves behind is kept after its end, in milliseconds. Never shorter for metadata than for results. */
export interface RetentionTimes {
  resultsMs: number;
  metadataMs: number;
}

export interface Retention extends RetentionTimes {
  /** For jobs that end `failed` or `overrun`, where they are kept for another time. */
  failed?: RetentionTimes;
  /** How long before the results expire that is announced, once; missing for never. */
  noticeMs?: number;
}

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
  /** How long a finished job is remembered, so that a replay is known as one. With `retention`, that says it. */
  rememberMs: number;
  /** How long results and metadata are kept. It is copied into the job: other terms don't change it later. */
  retention?: Retention;
}

export interface AdmitRequest {
  ref: JobRef;
  /**
   * Made before the call and used for this request's calls only: it tells a second try of the same admission, whose
   * answer was lost, from another request that uses the same job id. Other requests with the id are told it. Any string of
   * up to 512 bytes of UTF-8.
   */
  run: string;
  terms: Terms;
  /** How much of each unit its quotas are charged, until `finish` says how much it was. @default one job */
  amounts?: Amounts;
  /**
   * The job was admitted elsewhere and exists, as while this store could not be reached: it is taken in whatever the limits
   * say, beyond them if need be. Its rates are not charged, since their time is over; its quotas are. A store that processes share keeps in
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
  /** When its results expire. Missing while it runs, and where none are kept. */
  resultsExpireAt?: number;
  /** When the store forgets it, and its host should. At `resultsExpireAt` or later. */
  metadataExpireAt?: number;
  /** What has expired, by the store's clock when it was asked, whether or not it was deleted yet. `metadata` is both. */
  expired?: 'results' | 'metadata';
  /** Why its results are held beyond their time. */
  pinned?: string;
}

interface DecisionBase {
  /** Where each limit stands after this decision, in the order of the request. */
  limits: LimitState[];
  /** Names of the limits in shadow mode that would have refused. */
  shadowed: readonly string[];
  /** The customer's override that held, where it has one. */
  override?: Override;
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
  /** The run of the request that the job was admitted for. */
  run: string;
}

/** Nothing was charged at any limit. */
export type Refused = DecisionBase & Refusal;

export type Decision = Admitted | Replayed | Refused;

export interface Usage {
  limits: LimitState[];
  /** Who holds the leases, oldest first. */
  running: StoredJob[];
  /** Finished jobs whose results have not expired, those that expire first first; at most as many as were asked for. */
  kept: StoredJob[];
  override?: Override;
}

export interface Outcome {
  state: EndState;
  /** How much the job really used, by unit: replaces what was reserved. Units that are left out keep their reservation. */
  units?: Amounts;
  /** Instead of what the job's terms say of how long it is kept. */
  retention?: RetentionTimes;
}

/** What holds for one customer instead of its plan. */
export interface Override {
  /** Each replaces the limit of the same name and kind; it keeps that one's `key`. */
  limits: readonly Limit[];
  /** `shadow`: none of the customer's limits refuses. */
  mode?: LimitMode;
  /** Limits of other middlewares, by their names, as these check them. The store keeps them as JSON. */
  others?: Readonly<Record<string, unknown>>;
  reason?: string;
  author?: string;
  /** Epoch milliseconds; it holds until removed where this is missing. */
  expiresAt?: number;
  /** Epoch milliseconds, when it was set. The store fills it in. */
  setAt?: number;
}

/** What a job is due for: to be ended, since it ran too long; to be announced; or what of it is to be deleted. */
export type Due = 'overrun' | 'expiring' | 'results' | 'metadata';

/** A job that one sweeper has to itself until its claim runs out. */
export interface Claim {
  job: StoredJob;
  due: Due;
  /** The same for every try of the same task and for no other, so that the host can do it once. At most 1,200 bytes. */
  id: string;
  /** How often it was claimed, this time included. */
  tries: number;
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
  /** Due jobs of the store were left alone for a day or longer: nobody sweeps. Told at most once an hour. */
  | { type: 'unswept'; since: number }
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

  /**
   * Ends the job and frees its lease, exactly once; settles its quotas by `units` and starts its retention in the same
   * step. On a pending or lapsed job it commits first. `unsettled` is `finished` where a period that `units` belong to is
   * forgotten: a period's sum is kept until a day after the last of its jobs must have ended. Of an unknown job a record is
   * made only where the outcome brings its own retention; the answer is `finished` then.
   */
  finish(
    ref: JobRef,
    outcome: Outcome,
  ): Promise<'finished' | 'unsettled' | 'already' | 'refunded' | 'unknown'>;

  /**
   * Where the customer stands at these limits, with its override applied, and its jobs. Charges nothing.
   *
   * @param kept The most kept jobs in the answer. @default 0
   */
  usage(customer: string, limits: readonly Limit[], kept?: number): Promise<Usage>;

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
   * How many parts the store's due jobs are in: `claim` looks at one of them at a time.
   */
  readonly shards: number;

  /**
   * Takes up to `limit` due jobs of one shard for `leaseMs`, by the store's own clock; any number of sweepers may ask at
   * once. What is due: running jobs past `maxRun`, to be finished as `overrun`; results about to expire, where their notice
   * is due; expired results; expired metadata, once the results are deleted. Each job is due for one of these at a time,
   * in this order. A pinned job's results don't expire. A claim that is not confirmed comes again when it has run out.
   *
   * @param shard 0 to `shards` - 1.
   */
  claim(request: { shard: number; limit: number; leaseMs: number }): Promise<Claim[]>;

  /**
   * The tasks are done: announced, or deleted. What was stored is given back to the customer's quotas; a job whose metadata
   * are deleted is forgotten. Claims that somebody else confirmed before are left out of the number that is returned. Of
   * `overrun` nothing has to be confirmed: `finish` does.
   */
  confirm(claims: readonly Claim[]): Promise<number>;

  /** The task failed and is due again in `afterMs`, or never with `null`: until `expireNow`, or until the record is dropped. */
  postpone(claim: Claim, afterMs: number | null): Promise<void>;

  /**
   * Holds the job's results, also beyond their time, until `unpin`. Jobs that run may be pinned ahead. `expired`: too late,
   * they may be deleted already.
   */
  pin(ref: JobRef, reason: string): Promise<'pinned' | 'expired' | 'not-retained' | 'unknown'>;

  /** Results whose time has passed meanwhile expire at once. */
  unpin(ref: JobRef): Promise<'unpinned' | 'not-pinned' | 'unknown'>;

  /**
   * Keeps a finished job's results until `to`, epoch milliseconds, and its metadata at least as long. `kept`: they are kept
   * that long already. `not-retained`: the job is remembered, but nothing of it is kept.
   */
  extend(
    ref: JobRef,
    to: number,
  ): Promise<'extended' | 'kept' | 'expired' | 'unfinished' | 'not-retained' | 'unknown'>;

  /**
   * The job's results expire now. `already`: they have. A job whose deletion was given up is due again. `pinned`: it is, and
   * `force` wasn't set.
   */
  expireNow(
    ref: JobRef,
    force?: boolean,
  ): Promise<'expired' | 'already' | 'pinned' | 'unfinished' | 'not-retained' | 'unknown'>;

  /**
   * Stores what holds for this customer instead of its plan, from the next `admit` on and in every process, until it
   * expires; `null` removes it. Names that an admission doesn't carry have no effect on it. What runs is never ended by it.
   */
  setOverride(customer: string, override: Override | null): Promise<void>;

  /** The override that holds, or `null`. */
  override(customer: string): Promise<Override | null>;

  /** All overrides that hold, by customer. */
  overrides(): Promise<{ customer: string; override: Override }[]>;

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
  'claim',
  'confirm',
  'postpone',
  'pin',
  'unpin',
  'extend',
  'expireNow',
  'setOverride',
  'override',
  'overrides',
  'limiter',
  'subscribe',
  'clear',
  'close',
] as const satisfies readonly (keyof LimitStore)[];

/** How much of a limit one job takes. */
export const amountOf = (limit: Limit, amounts: Amounts | undefined): number =>
  limit.kind !== 'quota' ? 1 : (amounts?.[limit.unit] ?? (limit.unit === 'jobs' ? 1 : 0));

/** Names the counter of a limit within its customer. */
export const counterOf = (limit: Limit): string =>
  limit.key === undefined ? limit.name : `${limit.name}\0${limit.key}`;
