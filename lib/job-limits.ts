import { EventEmitter } from 'node:events';
import type { Server } from 'node:http';
import type { Request, RequestHandler } from 'express';
import type { Clock } from './clock.js';
import { ConfigError, JobLimitsError } from './errors.js';
import type { AnswerOptions } from './http/answers.js';
import { jobOfRequest } from './http/request-state.js';
import type { AdmittedJob } from './jobs/admitted-job.js';
import type { Tell } from './jobs/events.js';
import { lifecycleOf, type Lifecycle } from './jobs/lifecycle.js';
import { tellListeners } from './jobs/tell-listeners.js';
import type { ArchiveLimitsOptions } from './middleware/archive-limits.js';
import { bodyLimitsOf } from './middleware/body-limits.js';
import type { FileSizeOptions } from './middleware/file-size.js';
import type { UrlCountOptions } from './middleware/url-count.js';
import { admissionChecks, admitRequests, costCheck, type AdmissionOptions } from './middleware/admission.js';
import {
  checkConcurrency,
  concurrencyOf,
  type ConcurrencyMiddlewareOptions,
} from './middleware/concurrency.js';
import {
  contextOf,
  forward,
  sharedChecks,
  type Emit,
  type LimitsEvents,
  type SharedOptions,
} from './middleware/context.js';
import { checkCreationRate, creationRateOf, type CreationRateOptions } from './middleware/creation-rate.js';
import { guardsOf } from './middleware/guards.js';
import type { HighFrequencyOptions } from './middleware/high-frequency-options.js';
import type { GuardControl, HighFrequency } from './middleware/high-frequency.js';
import { checkJobRetention, jobRetentionOf, type JobRetentionOptions } from './middleware/job-retention.js';
import { overridesOf, type Overrides } from './middleware/overrides.js';
import {
  checkRequestRate,
  requestRateOf,
  type RequestRateMiddlewareOptions,
} from './middleware/request-rate.js';
import { termsByPlan } from './middleware/terms.js';
import { checkUsage, usageOf, usageOfCustomer, type CustomerUsage } from './middleware/usage.js';
import { checkOptions, count, func, oneOf, optional } from './options.js';
import type { Plan } from './plans/plan.js';
import { Plans, type OnStale, type PlanOf } from './plans/plans.js';
import { closeArchiveWorkers } from './uploads/archives/index.js';
import { answerExpect } from './uploads/expect.js';
import { FailoverStore, type FailoverOptions } from './stores/failover/failover-store.js';
import { MemoryStore } from './stores/memory/memory-store.js';
import type { LimitStore } from './stores/store.js';
import { checkTelemetry, meterOf, type TelemetryOptions } from './telemetry/meter.js';
import { recordMetrics } from './telemetry/metrics.js';

/** Options of `jobLimits()`. */
export interface JobLimitsOptions extends SharedOptions {
  /** Where limits are counted. @default a MemoryStore of its own, for one process */
  store?: LimitStore;
  /**
   * What decides while a given store can't be reached: `'local'`, each process by itself with its share of the limits;
   * `'allow'`, everything is admitted and counted later; `'deny'`, nothing: requests are answered 503. For a store that
   * is no MemoryStore. @default 'local' where `processes` is given, else 'deny'
   */
  onStoreError?: 'local' | 'allow' | 'deny';
  /** How many processes share the store; needed for `onStoreError: 'local'`. At least 1. */
  processes?: number;
  /** The plans by name, or the JSON text of them. Checked at once: every wrong value is a `ConfigError`. */
  plans?: Record<string, Plan> | string;
  /**
   * Which plan a customer has: the name of one of `plans`, or a plan itself, or a promise. Looked up once per customer and
   * minute; while it fails, the last known plan goes on for up to an hour. May be left out where there is one plan.
   */
  plan?: PlanOf;
  /**
   * Where metrics are recorded; `false` for nowhere. @default by the `MeterProvider` that the host has registered with
   * `@opentelemetry/api` when this is called; without one nothing is recorded
   */
  telemetry?: false | TelemetryOptions;
}

/** What `jobLimits()` returns: the middlewares, and what follows jobs after their request. */
export interface JobLimits extends Lifecycle, Overrides {
  /** Decides whether a job may be created, by the customer's plan. */
  admission: (options?: AdmissionOptions) => RequestHandler;
  /** One creation rate besides the plan's, or one for a route alone. */
  creationRate: (options: CreationRateOptions) => RequestHandler;
  /** One limit on running jobs besides the plan's, or one for a route alone. */
  concurrency: (options: ConcurrencyMiddlewareOptions) => RequestHandler;
  /** Limits plain API requests, by its own numbers or by the plan's `requestRate`. */
  requestRate: (options?: RequestRateMiddlewareOptions) => RequestHandler;
  /** Limits uploads by the bytes that arrive: by its own numbers, or by the plan's `fileSize`. */
  fileSize: (options?: Partial<FileSizeOptions>) => RequestHandler;
  /** Inspects uploaded archives: by its own numbers, or by the plan's `archiveLimits`. */
  archiveLimits: (options?: ArchiveLimitsOptions) => RequestHandler;
  /** Limits how many URLs a job is given: by its own numbers, or by the plan's `urlCount`. */
  urlCount: (options?: UrlCountOptions) => RequestHandler;
  /** Refuses clients that come too fast, before anything else looks at their requests. */
  highFrequency: (options: HighFrequencyOptions) => HighFrequency;
  /**
   * Lets the guard see the server's TCP connections, and refusals come before a client that sent `Expect: 100-continue`
   * uploads anything. Call it before `listen`, for each server.
   */
  attach: (server: Server) => void;
  /**
   * What operators see and do of the guard.
   *
   * @throws {JobLimitsError} `NO_GUARD` where `highFrequency()` was not called.
   */
  readonly guard: GuardControl;
  /** Stands before routes that read a job: says until when it is kept, and 410 from then on. */
  jobRetention: (options?: JobRetentionOptions) => RequestHandler;
  /** Answers with where the customer stands. */
  usage: (options?: AnswerOptions) => RequestHandler;
  /**
   * The job that this request was admitted for.
   *
   * @throws {JobLimitsError} `NO_ADMISSION` where no admission is mounted before.
   */
  job: (req: Request) => AdmittedJob;
  /** The same as `usage()` answers, for code. */
  usageOf: (customer: string) => Promise<CustomerUsage>;
  /**
   * Makes a customer's slots agree with the host's own list of running jobs, after data was lost on either side. Jobs
   * committed less than a minute ago are left alone.
   */
  reconcile: (customer: string, runningIds: readonly string[]) => ReturnType<LimitStore['reconcile']>;
  /** Replaces all plans at once; wrong ones throw and leave the old ones in force. */
  setPlans: (plans: Record<string, Plan> | string) => void;
  on: <K extends keyof LimitsEvents>(event: K, listener: (value: LimitsEvents[K]) => void) => JobLimits;
  off: <K extends keyof LimitsEvents>(event: K, listener: (value: LimitsEvents[K]) => void) => JobLimits;
  readonly store: LimitStore;
  /** Forgets all that was counted, in the store too. For tests. */
  reset: () => Promise<void>;
  /** Waits for what is under way and stops all timers, sweepers too; closes the store where it made it. */
  close: () => Promise<void>;
}

const RECONCILE_GRACE_MS = 60_000;

/**
 * Limits for an API that runs jobs. Make it once, mount its middlewares, and call `finish` when a job ends.
 *
 * @example
 * const limits = jobLimits({
 *   customer: (req) => req.user?.accountId,
 *   plans: { free: { creationRate: { limit: 250, window: '1m' }, concurrency: { limit: 250 } } },
 * });
 * app.post('/jobs', limits.admission(), async (req, res) => {
 *   const job = await limits.job(req).commit((ref) => queue.add('encode', { ref }));
 *   res.status(201).json({ id: job.id });
 * });
 * worker.on('completed', ({ data }) => limits.finish(data.ref, { state: 'completed' }));
 *
 * @throws {ConfigError} For every wrong option, of the plans too.
 */
export function jobLimits(options: JobLimitsOptions): JobLimits {
  const checked = checkOptions('jobLimits', options, {
    ...sharedChecks,
    plans: optional((value) => value),
    plan: optional(func<PlanOf>()),
    onStoreError: optional(oneOf('local', 'allow', 'deny')),
    processes: optional(count({ min: 1 })),
    telemetry: optional(checkTelemetry),
  });
  const events = new EventEmitter();
  const emit: Emit & Tell = tellListeners(events);
  const onStale: OnStale = (customer, error) => emit('plan-stale', { customer, error });
  const plans =
    checked.plans === undefined && checked.plan === undefined
      ? undefined
      : new Plans(checked.plans, checked.plan, checked.clock, checked.pending, onStale);
  const { store, closeStore } = storeOf(checked);
  const context = contextOf(checked, store, emit, plans);
  const guards = guardsOf(context);
  const meter = meterOf(checked.telemetry);
  const stopMetrics = meter && recordMetrics<LimitsEvents>(meter, events, guards.controls);
  const { stopSweeping, ...lifecycle } = lifecycleOf(store, emit, checked.clock);
  const unsubscribe = store.subscribe(forward(emit));
  const plansFor = (middleware: string): Plans => {
    if (plans !== undefined) return plans;
    throw new ConfigError('CONFIG_MISSING_OPTION', 'plans', `plans, which ${middleware} needs`, undefined);
  };

  const limits: JobLimits = {
    store,
    admission(own = {}) {
      const checkedOwn = checkOptions('admission', own, { ...admissionChecks, ...costCheck });
      return admitRequests(context, 'admission', checkedOwn, termsByPlan(plansFor('admission()')));
    },
    creationRate: (own) => creationRateOf(context, checkCreationRate(own)),
    concurrency: (own) => concurrencyOf(context, checkConcurrency(own)),
    requestRate: (own = {}) => requestRateOf(context, checkRequestRate(own)),
    ...bodyLimitsOf(context, plansFor),
    highFrequency: (own) => guards.make(own),
    attach(server) {
      guards.attach(server);
      answerExpect(server);
    },
    get guard() {
      return guards.control();
    },
    jobRetention: (own = {}) => jobRetentionOf(context, checkJobRetention(own)),
    usage: (own = {}) => usageOf(context, plansFor('usage()'), checkUsage(own)),
    job(req) {
      const job = jobOfRequest(req, store);
      if (job !== undefined) return job;
      throw new JobLimitsError(
        'NO_ADMISSION',
        'limits.job(req): no admission of these limits came before this handler',
      );
    },
    ...lifecycle,
    usageOf: (customer) => usageOfCustomer(context, plansFor('usageOf()'), customer),
    async reconcile(customer, runningIds) {
      const { terms } = await plansFor('reconcile()').of(customer);
      const answer = await store.reconcile(customer, runningIds, terms, RECONCILE_GRACE_MS);
      emit('reconcile', { customer, ...answer });
      return answer;
    },
    ...overridesOf(context, plansFor),
    setPlans: (next) => plansFor('setPlans()').set(next),
    on(event, listener) {
      events.on(event, listener);
      return limits;
    },
    off(event, listener) {
      events.off(event, listener);
      return limits;
    },
    async reset() {
      await store.clear();
      context.resetLimiters();
      guards.reset();
      plans?.forget();
      context.overrides.forget();
    },
    async close() {
      await stopSweeping();
      await context.openJobs.close();
      await closeArchiveWorkers();
      unsubscribe();
      stopMetrics?.();
      await closeStore();
    },
  };
  return limits;
}

interface StoreChoice {
  store: LimitStore | undefined;
  onStoreError: FailoverOptions['onStoreError'] | undefined;
  processes: number | undefined;
  clock: Clock;
}

/** The store that decides, and what closes as much of it as was made here: a store that was given stays its owner's. */
function storeOf({ store: given, onStoreError, processes, clock }: StoreChoice): {
  store: LimitStore;
  closeStore: () => Promise<void>;
} {
  if (given === undefined) {
    const store = new MemoryStore({ clock });
    return { store, closeStore: () => store.close() };
  }
  if (given instanceof MemoryStore || given instanceof FailoverStore) {
    return { store: given, closeStore: () => Promise.resolve() };
  }
  const store = new FailoverStore({
    store: given,
    clock,
    ...(onStoreError && { onStoreError }),
    ...(processes && { processes }),
  });
  return { store, closeStore: () => store.close() };
}
