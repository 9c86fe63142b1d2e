import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { Clock } from '../clock.js';
import type { Refusal } from '../decision.js';
import { ConfigError, StoreError } from '../errors.js';
import { answerChecks, answerSettings, type AnswerOptions, type AnswerSettings } from '../http/answers.js';
import { customerOfRequest } from '../http/customer.js';
import { watchOutcome } from '../http/outcome.js';
import { showLimits } from '../http/rate-limit-headers.js';
import { setJob, setLimits, stateOfRequest, type OutcomeListener } from '../http/request-state.js';
import { sendRefusal } from '../http/send-refusal.js';
import { AdmittedJob } from '../jobs/admitted-job.js';
import { differ } from '../jobs/job-id.js';
import {
  checkOptions,
  either,
  func,
  listOf,
  oneOf,
  optional,
  text,
  withDefault,
  type Check,
  type Checks,
} from '../options.js';
import type { Plan } from '../plans/plan.js';
import { Plans, type PlanOf } from '../plans/plans.js';
import type { Decision, Replayed } from '../stores/store.js';
import { sharedChecks, type Context, type SharedOptions } from './context.js';
import { costOfRequest, type CostOf } from './cost.js';
import { checkNaming, nameChecks, nameJob, type JobNameOptions } from './job-name.js';
import { standaloneContext } from './standalone.js';
import { storeUnavailable } from './store-unavailable.js';
import { termsByPlan, type TermsOf } from './terms.js';

/** Called instead of the handler for a request that repeats an earlier one; `job.existing` says how far the job is. */
export type ReplayHandler = (job: AdmittedJob, req: Request, res: Response, next: NextFunction) => unknown;

/** Options of every middleware that admits jobs: `admission`, `creationRate` and `concurrency`. */
export interface AdmissionOptions extends AnswerOptions, JobNameOptions {
  /** Requests for which it returns true pass unseen and uncharged. */
  skip?: (req: Request) => boolean;
  /** Only these methods create jobs; others pass uncharged. @default ['POST'] */
  methods?: string[];
  /** Only requests for which it returns true create jobs, so that `app.use(admission())` charges no login. @default all */
  match?: (req: Request) => boolean;
  /**
   * What a replay gets: by default 409 `JOB_EXISTS`. `'pass'` lets it through to the handler, which *must* look at
   * `job.replayed` and answer with the job that exists: a handler that doesn't makes uncharged jobs. A function answers
   * itself. Whatever is set, a replay of a request that is still open is answered 409 `JOB_IN_PROGRESS`. Needed with
   * `idempotency`.
   */
  onReplay?: 'pass' | ReplayHandler;
  /**
   * How much the job takes of each unit that the plan's `quotas` and `storage` count, such as `{ audioSeconds: 600 }`: whole
   * numbers of at least 0, by what is known before the body is read. `finish` corrects it. @default one job
   */
  cost?: CostOf;
  /** Whether the app's answer means that the job was made. @default (req, res) => res.statusCode < 400 */
  requestWasSuccessful?: (req: Request, res: Response) => boolean;
}

/** The checks of `AdmissionOptions` but `cost`, which a middleware of one limit has no use for; to be spread into others. */
export const admissionChecks = {
  ...answerChecks,
  ...nameChecks,
  skip: optional(func<(req: Request) => boolean>()),
  methods: withDefault(listOf(text), ['POST']),
  match: optional(func<(req: Request) => boolean>()),
  onReplay: optional(either((value) => typeof value === 'function', func<ReplayHandler>(), oneOf('pass'))),
  requestWasSuccessful: withDefault(
    func<(req: Request, res: Response) => boolean>(),
    (_req, res) => res.statusCode < 400,
  ),
} satisfies Checks<Omit<AdmissionOptions, 'cost'>>;

export const costCheck = { cost: optional(func<CostOf>()) };

type CheckedAdmission = { [K in keyof typeof admissionChecks]: ReturnType<(typeof admissionChecks)[K]> } & {
  cost?: CostOf | undefined;
};

/** How long a slot that is held for the request only outlives a client that went away, while the app still works. */
const ABANDONED_MS = 30_000;

interface Admission {
  context: Context;
  options: CheckedAdmission;
  answers: AnswerSettings;
  termsOf: TermsOf;
  hold: 'job' | 'request';
}

/**
 * The middleware that decides on the limits that `termsOf` names. One mechanism: its users differ in the terms only.
 *
 * @param owner Whose options they are.
 * @throws {ConfigError} Where options don't go together.
 */
export function admitRequests(
  context: Context,
  owner: string,
  options: CheckedAdmission,
  termsOf: TermsOf,
  hold: 'job' | 'request' = 'job',
): RequestHandler {
  checkNaming(owner, options, hold);
  const methods = new Set(options.methods.map((method) => method.toUpperCase()));
  const answers = answerSettings(options as AnswerOptions, context.answers);
  const admission: Admission = { context, options, answers, termsOf, hold };
  return function admission_(req, res, next) {
    let applies: boolean;
    try {
      applies =
        methods.has(req.method) &&
        options.skip?.(req) !== true &&
        (options.match === undefined || options.match(req));
    } catch (error) {
      next(error);
      return;
    }
    if (applies) admit(admission, req, res, next).then((passes) => void (passes && next()), next);
    else next();
  };
}

/** Whether the request may go on to the handler. When not, it has been answered or passed to the error handler. */
async function admit(
  admission: Admission,
  req: Request,
  res: Response,
  next: NextFunction,
): Promise<boolean> {
  const { context, termsOf } = admission;
  const found = customerOfRequest(req, context.customer);
  const customer = typeof found === 'string' ? found : await found;
  const wanted = termsOf(req, customer);
  const terms = wanted instanceof Promise ? await wanted : wanted;
  const earlier = jobOf(req, context, customer, admission.hold);
  if (earlier?.replayed) return true;
  const naming = earlier ? { ref: earlier.ref, run: earlier.run } : nameJob(req, customer, admission.options);
  const named = naming instanceof Promise ? await naming : naming;
  if ('allowed' in named) return refuseRequest(admission, named, req, res, next);
  const { ref, run } = named;
  const { cost } = admission.options;
  const amounts = cost && (await costOfRequest(req, cost));
  let decision: Decision;
  try {
    decision = await context.store.admit(
      amounts === undefined ? { ref, run, terms } : { ref, run, terms, amounts },
    );
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    context.emit('store-error', { operation: 'admit', error });
    return refuseRequest(admission, storeUnavailable, req, res, next);
  }
  const shadow = decision.shadowed.length > 0;
  context.emit('decision', {
    customer,
    ref,
    plan: terms.plan,
    decision,
    shadow,
    joined: earlier !== undefined,
  });
  setLimits(req, context.properties.limits, showLimits(req, res, decision.limits));
  if (!decision.allowed) return refuseRequest(admission, decision, req, res, next);
  if (earlier) {
    earlier.terms.push(terms);
    earlier.decision = decision;
    return true;
  }
  const job = new AdmittedJob(context.store, ref, run, terms, decision, admission.hold, context.tell);
  const { jobs } = stateOfRequest(req);
  jobs.push(job);
  // A slot that only the request holds is not what its handler asks for, where there is a job.
  if (job.hold === 'job' || jobs.length === 1) setJob(req, context.properties.job, job);
  if (job.existing) return replay(admission, job, req, res, next);
  watchOutcome(req, res, new Follower(admission, job));
  return true;
}

/** The request makes no job: what its middlewares have charged goes back, whatever status its answer has. */
function giveBack({ openJobs }: Context, req: Request): void {
  for (const job of stateOfRequest(req).jobs) {
    if (job.phase !== 'open') continue;
    openJobs.settle(job, 'refund');
    // The answer may be out before the store has done it.
    job.phase = 'refunded';
  }
}

function refuseRequest(
  { context, answers }: Admission,
  refusal: Refusal,
  req: Request,
  res: Response,
  next: NextFunction,
): false {
  giveBack(context, req);
  sendRefusal(refusal, answers, context.clock, req, res, next);
  return false;
}

/** The job that another middleware of this request admitted for this customer on this store, to be held as long. */
const jobOf = (
  req: Request,
  { store }: Context,
  customer: string,
  hold: 'job' | 'request',
): AdmittedJob | undefined =>
  stateOfRequest(req).jobs.find(
    (job) => job.store === store && job.ref.customer === customer && job.hold === hold,
  );

const jobExists = { code: 'JOB_EXISTS', message: 'A job with this id exists' };
const jobInProgress = {
  code: 'JOB_IN_PROGRESS',
  message: 'This job is being created by another request',
  retryAfterMs: 1000,
};
const keyReused = {
  code: 'IDEMPOTENCY_KEY_REUSED',
  message: 'This Idempotency-Key was sent with another request',
  status: 422,
};

function replay(
  admission: Admission,
  job: AdmittedJob,
  req: Request,
  res: Response,
  next: NextFunction,
): boolean {
  const { options, context } = admission;
  const {
    run,
    job: { state },
  } = job.decision as Replayed;
  const why = differ(run, job.run) ? keyReused : state === 'pending' ? jobInProgress : undefined;
  const onReplay = why === undefined ? options.onReplay : undefined;
  if (onReplay === 'pass') return true;
  if (onReplay !== undefined) {
    giveBack(context, req);
    // A promise that it returns is waited for, so that Express 4 gets its error too.
    void Promise.resolve(onReplay(job, req, res, next)).catch(next);
    return false;
  }
  const refusal: Refusal = {
    allowed: false,
    status: 409,
    violated: [],
    ...(why ?? jobExists),
    info: { id: job.ref.id, state },
  };
  return refuseRequest(admission, refusal, req, res, next);
}

/** Sees to it that the job is committed, refunded or finished by how the app answers. */
class Follower implements OutcomeListener {
  #stopWaiting: (() => void) | undefined;

  constructor(
    readonly admission: Admission,
    readonly job: AdmittedJob,
  ) {
    admission.context.openJobs.add(job);
  }

  answered(res: Response): void {
    const { job } = this;
    const { context, options } = this.admission;
    this.#stopWaiting?.();
    context.openJobs.delete(job);
    if (job.phase === 'refunded' || job.phase === 'finished') return;
    if (job.phase === 'open' && !options.requestWasSuccessful(res.req, res))
      context.openJobs.settle(job, 'refund');
    else if (job.hold === 'request') context.openJobs.settle(job, 'finish');
    else if (job.phase === 'open') context.openJobs.settle(job, 'commit');
  }

  abandoned(res: Response): void {
    const { openJobs, clock } = this.admission.context;
    // With `hold: 'job'` the pending lease runs out, unless the app ends the response before or commits.
    if (this.job.hold === 'job') openJobs.delete(this.job);
    else this.#stopWaiting = once(clock, ABANDONED_MS, () => this.answered(res));
  }
}

function once(clock: Context['clock'], afterMs: number, run: () => void): () => void {
  const stop = clock.every(afterMs, () => {
    stop();
    run();
  });
  return stop;
}

/** Options of `admission` where it is used alone. */
export interface StandaloneAdmissionOptions extends AdmissionOptions, SharedOptions {
  /** The limits: one plan for all, or a function that says which plan the customer has. */
  plan: Plan | ((customer: string) => Plan | Promise<Plan>);
}

/**
 * Decides whether a job may be created, before its body is read: by creation rate, running jobs, quotas and storage, all or
 * nothing, in one step of the store. A job that is not made after all (an answer of 400 and above) gets everything back.
 *
 * Refused requests are answered 413 `RATE_LIMIT_REACHED`, `QUOTA_EXCEEDED` or `LIMIT_BLOCKED`; see docs/reference/admission.md.
 *
 * @example
 * app.post('/jobs', admission({ customer: (req) => req.user.id, plan: { creationRate: { limit: 250, window: '1m' } } }), create);
 *
 * @throws {ConfigError}
 */
export function admission(options: StandaloneAdmissionOptions): RequestHandler {
  const checked = checkOptions('admission', options, {
    ...sharedChecks,
    ...admissionChecks,
    ...costCheck,
    plan: planCheck,
  });
  const plans = plansOf(checked.plan, checked);
  return admitRequests(standaloneContext(checked, plans), 'admission', checked, termsByPlan(plans));
}

/** A plan is checked in full where it is put among the plans. */
export const planCheck: Check<Plan | PlanOf> = (value, option) => {
  if (value !== undefined) return value as Plan | PlanOf;
  throw new ConfigError('CONFIG_MISSING_OPTION', option, 'a plan, or a function that returns one', value);
};

export const plansOf = (plan: Plan | PlanOf, { clock, pending }: { clock: Clock; pending: number }): Plans =>
  typeof plan === 'function'
    ? new Plans(undefined, plan, clock, pending)
    : new Plans({ default: plan }, undefined, clock, pending);
