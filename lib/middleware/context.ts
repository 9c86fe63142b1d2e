import type { RateLimiterAbstract } from 'rate-limiter-flexible';
import { systemClock, type Clock } from '../clock.js';
import type { Refusal } from '../decision.js';
import { answerChecks, type AnswerOptions } from '../http/answers.js';
import type { CustomerOf } from '../http/customer.js';
import type { JobNews } from '../jobs/admitted-job.js';
import type { LifecycleEvents } from '../jobs/events.js';
import { OpenJobs } from '../jobs/open-jobs.js';
import {
  checkOptions,
  duration,
  func,
  having,
  optional,
  text,
  withDefault,
  type Checks,
} from '../options.js';
import type { CheckedRequestRate } from '../plans/limits.js';
import { Lookups } from '../plans/lookups.js';
import type { Plans } from '../plans/plans.js';
import { DEFAULT_PENDING_MS } from '../plans/terms.js';
import {
  storeMethods,
  type Decision,
  type JobRef,
  type LimitStore,
  type Override,
  type StoreEvent,
} from '../stores/store.js';
import type { Duration } from '../units.js';

import type { GuardEvents } from './high-frequency-options.js';

/** What happened, for logs and metrics. `limits.on(name, listener)` is called with the value. */
export interface LimitsEvents extends Omit<GuardEvents, 'store-error'>, LifecycleEvents {
  /**
   * An admission was decided: allowed, refused or replayed. `shadow`: limits in shadow mode, named by `decision.shadowed`,
   * would have refused it. `joined`: an earlier middleware of the request admitted the job, and limits were added to it.
   */
  decision: {
    customer: string;
    ref: JobRef;
    plan: string | undefined;
    decision: Decision;
    shadow: boolean;
    joined: boolean;
  };
  /** Looking up a customer's plan failed: the last known one goes on, for up to an hour. */
  'plan-stale': { customer: string; error: unknown };
  /** A request rate in shadow mode would have refused a request. */
  'shadow-refusal': { customer: string; refusal: Refusal };
  /** A job was committed; `reinstated` when its pending lease had run out before. */
  commit: { ref: JobRef; answer: string };
  refund: { ref: JobRef; answer: string };
  /** A customer's slots were made to agree with the host's list: ids of jobs that were ended, and that got a lease. */
  reconcile: { customer: string; finished: string[]; restored: string[] };
  /** A pending lease ran out: no commit came within `pending`. All charges went back. */
  lapsed: { ref: JobRef };
  /** Due jobs have been left alone for a day or longer: nobody sweeps. Told at most once an hour. */
  unswept: { since: number };
  /** A bounded store had to forget remembered jobs. */
  'records-dropped': { count: number; reason: string };
  /** A store that can be out of reach answered. */
  'store-answered': { operation: string; durationMs: number };
  /** Who decides from now on: the store, or what `onStoreError` says. `partition` names the node of a Cluster, else ''. */
  'store-switched': { to: 'store' | 'local' | 'allow' | 'deny'; partition: string };
  /** The store was told what happened while it could not be reached. `dropped` changes were too many to keep. */
  'journal-written': { adopted: number; dropped: number };
}

export type Emit = <K extends keyof LimitsEvents>(event: K, value: LimitsEvents[K]) => void;

/** Options that `jobLimits()` sets for all its middlewares, and that each takes itself where it is used alone. */
export interface SharedOptions extends AnswerOptions {
  /** Where limits are counted. @default a MemoryStore, shared by all middlewares of the process that are used alone */
  store?: LimitStore;
  /**
   * Who is limited: the *authenticated* customer's id, a string of at most 512 bytes, or a promise of it. `undefined` goes
   * to Express's error handler as `CUSTOMER_MISSING` with status 401.
   */
  customer: CustomerOf;
  /** How long a job may stay uncommitted after its request stopped renewing it. At least 1 s. @default '60s' */
  pending?: Duration;
  /** Where `req.job` and `req.limits` are put. @default { job: 'job', limits: 'limits' } */
  requestProperty?: { job?: string; limits?: string };
  /** Where dates and timers come from. @default the machine's clock */
  clock?: Clock;
}

/** The checks of `SharedOptions`, to be spread into those of a middleware. */
export const sharedChecks = {
  ...answerChecks,
  store: optional(having<LimitStore>('a store', ...storeMethods)),
  customer: func<CustomerOf>(),
  pending: withDefault(duration({ min: 1000 }), DEFAULT_PENDING_MS),
  requestProperty: withDefault(
    (value, option) =>
      checkOptions(option, value, { job: withDefault(text, 'job'), limits: withDefault(text, 'limits') }),
    { job: 'job', limits: 'limits' },
  ),
  clock: withDefault(having<Clock>('a clock', 'now', 'wallNow', 'every'), systemClock),
} satisfies Checks<SharedOptions>;

/** What the middlewares of one `jobLimits()`, or one used alone, have in common. */
export interface Context {
  store: LimitStore;
  customer: CustomerOf;
  pendingMs: number;
  properties: { job: string; limits: string };
  clock: Clock;
  answers: AnswerOptions;
  emit: Emit;
  tell: JobNews;
  openJobs: OpenJobs;
  plans: Plans | undefined;
  /** Customers' overrides, at most a second old, for requests without an admission to tell them. */
  overrides: Lookups<Override | null>;
  /** The store's limiter for a request rate, made once. */
  limiterOf(rate: CheckedRequestRate): RateLimiterAbstract;
  /** Forgets the limiters, and with them what they counted in memory. */
  resetLimiters(): void;
}

const OVERRIDE_FRESH_MS = 1000;

type CheckedShared = { [K in keyof typeof sharedChecks]: ReturnType<(typeof sharedChecks)[K]> };

export function contextOf(options: CheckedShared, store: LimitStore, emit: Emit, plans?: Plans): Context {
  const { customer, pending, requestProperty, clock } = options;
  const failed = (operation: string, error: unknown): void => emit('store-error', { operation, error });
  const limiters = new Map<string, RateLimiterAbstract>();
  return {
    store,
    customer,
    pendingMs: pending,
    properties: requestProperty,
    clock,
    answers: options as AnswerOptions,
    emit,
    tell(operation, ref, answer) {
      // A job that only its request holds has done all that it was for.
      if (operation === 'finish') emit('finish', { ref, answer, state: 'completed' });
      else emit(operation, { ref, answer });
    },
    openJobs: new OpenJobs(store, pending, clock, failed),
    plans,
    overrides: new Lookups({ find: (who) => store.override(who), clock, freshMs: OVERRIDE_FRESH_MS }),
    limiterOf({ name, limit, windowMs }) {
      const id = `${name} ${limit} ${windowMs}`;
      let limiter = limiters.get(id);
      if (limiter === undefined) {
        limiter = store.limiter({ keyPrefix: name, points: limit, duration: windowMs / 1000 });
        limiters.set(id, limiter);
      }
      return limiter;
    },
    resetLimiters: () => limiters.clear(),
  };
}

/** Passes what a store tells on to the listeners of the limits. */
export const forward =
  (emit: Emit) =>
  (event: StoreEvent): void => {
    const { type, ...value } = event;
    emit(type, value as never);
  };
