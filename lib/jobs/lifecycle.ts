import { EventEmitter } from 'node:events';
import { systemClock, type Clock } from '../clock.js';
import { describe, RequestError } from '../errors.js';
import { checkOptions, count, having, optional, withDefault } from '../options.js';
import { retentionTimes } from '../plans/retention.js';
import {
  endStates,
  storeMethods,
  type EndState,
  type JobRef,
  type LimitStore,
  type StoredJob,
} from '../stores/store.js';
import { checkTelemetry, meterOf, type TelemetryOptions } from '../telemetry/meter.js';
import { recordMetrics } from '../telemetry/metrics.js';
import type { Duration } from '../units.js';
import type { LifecycleEvents, StoreEvents, Tell } from './events.js';
import { checkedCustomer, checkedRef } from './job-ref.js';
import { renewWhile, type RenewOptions } from './renew-while.js';
import type { SweepOptions } from './sweep-options.js';
import { startSweeper, type Sweeper } from './sweeper.js';
import { tellListeners } from './tell-listeners.js';

/** How a job ended. */
export interface JobOutcome {
  state: EndState;
  /** What it really used, by unit, in the place of what it was admitted with. Whole numbers of at least 0. */
  units?: Record<string, number>;
  /** How long what it leaves behind is kept, in the place of the plan's `jobRetention`. */
  retention?: { results: Duration; metadata?: Duration };
}

/** What follows a job after its request, in any process that shares the store. */
export interface Lifecycle {
  /** Ends a job: its slot goes back, exactly once, its quotas are settled, and its retention begins. */
  finish: (ref: JobRef, outcome: JobOutcome) => ReturnType<LimitStore['finish']>;
  /** Heartbeat of a running job, for limits with `heartbeat`. */
  renew: (ref: JobRef) => ReturnType<LimitStore['renew']>;
  /**
   * Renews a job while an async function runs, and gives what that gives. A renewal that fails never ends the job; the
   * function's `signal` is aborted where the job should not go on.
   */
  renewWhile: <T>(
    ref: JobRef,
    work: (signal: AbortSignal) => Promise<T>,
    options?: RenewOptions,
  ) => Promise<T>;
  jobs: {
    /** The stored job, or `undefined` when it was never seen or is forgotten. */
    get: (ref: JobRef) => Promise<StoredJob | undefined>;
    /**
     * A customer's jobs: all that hold a lease, oldest first, and those whose results are kept, soonest to expire first.
     *
     * @param most The most of those kept, up to 1,000. @default 100
     */
    list: (customer: string, most?: number) => Promise<{ running: StoredJob[]; kept: StoredJob[] }>;
  };
  /** Ends jobs that ran too long and deletes what has expired, until it is stopped. Any number of processes may. */
  sweep: (options: SweepOptions) => Sweeper;
  /** Holds a job's results beyond their time, for this reason (1 to 500 characters), until `unpin`. */
  pin: (ref: JobRef, reason: string) => ReturnType<LimitStore['pin']>;
  /** Results whose time has passed meanwhile expire at once. */
  unpin: (ref: JobRef) => ReturnType<LimitStore['unpin']>;
  /** Keeps a finished job's results until `to`: a date, its ISO form, or epoch milliseconds. */
  extend: (ref: JobRef, to: Date | string | number) => ReturnType<LimitStore['extend']>;
  /** A finished job's results expire now, to be deleted by the next sweep; a pinned job's only by `force`. */
  expireNow: (ref: JobRef, options?: { force?: boolean }) => ReturnType<LimitStore['expireNow']>;
}

const LISTED = 100;
const MOST_LISTED = 1_000;
const MOST_REASON = 500;
/** The last date that JavaScript knows. */
const LAST_DATE = 8.64e15;

/**
 * The lifecycle on a store.
 *
 * @param tell Is told what happens. Never throws.
 */
export function lifecycleOf(
  store: LimitStore,
  tell: Tell,
  clock: Clock,
): Lifecycle & { stopSweeping: () => Promise<void> } {
  const sweepers: Sweeper[] = [];
  const held = async <T extends string>(
    operation: LifecycleEvents['hold']['operation'],
    ref: JobRef,
    asked: Promise<T>,
  ): Promise<T> => {
    const answer = await asked;
    tell('hold', { operation, ref, answer });
    return answer;
  };
  return {
    async finish(ref, outcome) {
      const { state, units, retention } = (outcome ?? {}) as Partial<JobOutcome>;
      const checked = {
        state: checkedState(state),
        ...(units !== undefined && { units: checkedUnits(units) }),
        ...(retention !== undefined && { retention: retentionTimes(retention, 'finish.retention') }),
      };
      const answer = await store.finish(checkedRef(ref), checked);
      tell('finish', { ref, answer, state: checked.state });
      return answer;
    },
    async renew(ref) {
      const answer = await store.renew(checkedRef(ref));
      tell('renew', { ref, answer });
      return answer;
    },
    renewWhile: async (ref, work, options = {}) =>
      renewWhile(store, checkedRef(ref), work, options, tell, clock),
    jobs: {
      get: async (ref) => store.job(checkedRef(ref)),
      async list(customer, most = LISTED) {
        const checked = count({ max: MOST_LISTED })(most, 'jobs.list.most');
        const { running, kept } = await store.usage(checkedCustomer(customer), [], checked);
        return { running, kept };
      },
    },
    sweep(options) {
      const sweeper = startSweeper(store, options, tell, clock);
      sweepers.push(sweeper);
      return sweeper;
    },
    async stopSweeping() {
      await Promise.all(sweepers.map((sweeper) => sweeper.stop()));
    },
    pin: async (ref, reason) => held('pin', ref, store.pin(checkedRef(ref), checkedReason(reason))),
    unpin: async (ref) => held('unpin', ref, store.unpin(checkedRef(ref))),
    extend: async (ref, to) => held('extend', ref, store.extend(checkedRef(ref), checkedDate(to))),
    expireNow: async (ref, { force = false } = {}) =>
      held('expireNow', ref, store.expireNow(checkedRef(ref), force)),
  };
}

/** Options of `jobLifecycle`. */
export interface JobLifecycleOptions {
  /** The store that the API's processes share. */
  store: LimitStore;
  /** @default the machine's clock */
  clock?: Clock;
  /** Where metrics are recorded, as in `jobLimits()`. @default by the host's `MeterProvider`, if it has registered one */
  telemetry?: false | TelemetryOptions;
}

type WorkerEvents = LifecycleEvents & StoreEvents;

/** What `jobLifecycle()` returns. */
export interface JobLifecycle extends Lifecycle {
  on: <K extends keyof WorkerEvents>(event: K, listener: (value: WorkerEvents[K]) => void) => JobLifecycle;
  off: <K extends keyof WorkerEvents>(event: K, listener: (value: WorkerEvents[K]) => void) => JobLifecycle;
  /** Stops its sweepers. The store stays open: whoever made it closes it. */
  close: () => Promise<void>;
}

/**
 * What a worker needs of the limits: it ends and renews jobs, and deletes what has expired, without Express, plans or
 * customers. `jobLimits()` has the same functions.
 *
 * @example
 * const jobs = jobLifecycle({ store: new RedisStore({ client }) });
 * worker.on('completed', ({ data }) => jobs.finish(data.ref, { state: 'completed' }));
 *
 * @throws {ConfigError}
 */
export function jobLifecycle(options: JobLifecycleOptions): JobLifecycle {
  const { store, clock, telemetry } = checkOptions('jobLifecycle', options, {
    store: having<LimitStore>('a store', ...storeMethods),
    clock: withDefault(having<Clock>('a clock', 'now', 'wallNow', 'every'), systemClock),
    telemetry: optional(checkTelemetry),
  });
  const events = new EventEmitter();
  const tell = tellListeners(events);
  const meter = meterOf(telemetry);
  const stopMetrics = meter && recordMetrics<WorkerEvents>(meter, events);
  const unsubscribe = store.subscribe(({ type, ...value }) => tell(type, value));
  const { stopSweeping, ...methods } = lifecycleOf(store, tell, clock);
  const lifecycle: JobLifecycle = {
    ...methods,
    on(event, listener) {
      events.on(event, listener);
      return lifecycle;
    },
    off(event, listener) {
      events.off(event, listener);
      return lifecycle;
    },
    async close() {
      await stopSweeping();
      unsubscribe();
      stopMetrics?.();
    },
  };
  return lifecycle;
}

const wrong = (code: 'JOB_UNITS_INVALID' | 'JOB_DATE_INVALID' | 'JOB_REASON_INVALID', message: string) =>
  new RequestError(code, 400, message);

function checkedState(state: unknown): EndState {
  if (endStates.includes(state as EndState)) return state as EndState;
  throw new RequestError(
    'JOB_STATE_INVALID',
    400,
    `finish(ref, { state }): expected one of ${endStates.join(', ')}, received ${describe(state)}`,
  );
}

function checkedUnits(units: unknown): Record<string, number> {
  if (typeof units === 'object' && units !== null && !Array.isArray(units)) {
    const bad = Object.entries(units).find(([, amount]) => !Number.isSafeInteger(amount) || amount < 0);
    if (bad === undefined) return units as Record<string, number>;
    throw wrong(
      'JOB_UNITS_INVALID',
      `finish(ref, { units }): expected whole numbers of at least 0, received ${describe(bad[1])} for '${bad[0]}'`,
    );
  }
  throw wrong(
    'JOB_UNITS_INVALID',
    `finish(ref, { units }): expected amounts by unit, received ${describe(units)}`,
  );
}

function checkedReason(reason: unknown): string {
  if (typeof reason === 'string' && reason !== '' && reason.length <= MOST_REASON) return reason;
  throw wrong(
    'JOB_REASON_INVALID',
    `pin(ref, reason): expected a reason of 1 to ${MOST_REASON} characters, received ${describe(reason)}`,
  );
}

function checkedDate(to: unknown): number {
  // Other strings than ISO dates are read by the machine's own ideas of a date: '5' is in May 2001.
  const isDate = to instanceof Date || (typeof to === 'string' && /^\d{4}-\d\d-\d\d/.test(to));
  const date = isDate ? new Date(to).getTime() : to;
  if (typeof date === 'number' && Number.isSafeInteger(date) && date >= 0 && date <= LAST_DATE) return date;
  throw wrong('JOB_DATE_INVALID', `extend(ref, to): expected a date, received ${describe(to)}`);
}
