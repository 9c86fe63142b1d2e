import type { NextFunction, Request, RequestHandler, Response } from 'express';
import type { Refusal } from '../decision.js';
import { ConfigError, describe, RequestError, StoreError } from '../errors.js';
import { answerChecks, answerSettings, type AnswerOptions, type AnswerSettings } from '../http/answers.js';
import { customerOfRequest } from '../http/customer.js';
import { setStoredJob } from '../http/request-state.js';
import { sendRefusal } from '../http/send-refusal.js';
import { checkedRef, isId } from '../jobs/job-ref.js';
import { checkOptions, func, oneOf, optional, text, withDefault, type Check } from '../options.js';
import type { JobRef, StoredJob } from '../stores/store.js';
import { sharedChecks, type Context, type SharedOptions } from './context.js';
import { standaloneContext } from './standalone.js';
import { storeUnavailable } from './store-unavailable.js';

/** Options of `limits.jobRetention()`. */
export interface JobRetentionOptions extends AnswerOptions {
  /** What the route reads: a status route lives as long as the job's metadata. @default 'results' */
  of?: 'results' | 'metadata';
  /** The job's id. @default (req) => req.params.id */
  id?: (req: Request) => string | undefined;
  /** The job itself, for routes that don't know the customer by `customer(req)`. It takes the place of `id`. */
  ref?: (req: Request) => JobRef | Promise<JobRef>;
  /**
   * What a job gets that is unknown, another customer's, or no job any more: `'pass'`, the handler decides, as for jobs
   * from before these limits were there; `404`, it is answered so. @default 'pass'
   */
  unknown?: 'pass' | 404;
  /** The address of the policy by which results go away, sent as `Link; rel="sunset"` (RFC 8594). @default none */
  link?: string;
  /** Requests for which it returns true pass unseen. */
  skip?: (req: Request) => boolean;
}

/** Options of `jobRetention` where it is used alone. */
export interface StandaloneJobRetentionOptions extends JobRetentionOptions, SharedOptions {}

const unknownCheck: Check<'pass' | 404> = (value, option) => {
  if (value === 'pass' || value === 404) return value;
  throw new ConfigError('CONFIG_INVALID_OPTION', option, "'pass' or 404", value);
};

const checks = {
  ...answerChecks,
  of: withDefault(oneOf('results', 'metadata'), 'results'),
  id: withDefault(func<(req: Request) => string | undefined>(), (req) => req.params.id as string | undefined),
  ref: optional(func<(req: Request) => JobRef | Promise<JobRef>>()),
  unknown: withDefault(unknownCheck, 'pass'),
  link: optional(text),
  skip: optional(func<(req: Request) => boolean>()),
};

type Checked = { [K in keyof typeof checks]: ReturnType<(typeof checks)[K]> };

/**
 * Stands before routes that read a job or its results. While they are kept, the answer says until when, by `Sunset`, and
 * `req.job` is the stored job; from that time on it is 410 `JOB_EXPIRED`, whether or not they were deleted yet, until the
 * store forgets the job.
 *
 * @example
 * app.get('/jobs/:id/results', limits.jobRetention(), read);
 *
 * @throws {ConfigError}
 */
export function jobRetention(options: StandaloneJobRetentionOptions): RequestHandler {
  const checked = checkOptions('jobRetention', options, { ...sharedChecks, ...checks });
  return jobRetentionOf(standaloneContext(checked), checked);
}

export const checkJobRetention = (options: JobRetentionOptions): Checked =>
  checkOptions('jobRetention', options, checks);

export function jobRetentionOf(context: Context, options: Checked): RequestHandler {
  const answers = answerSettings(options as AnswerOptions, context.answers);
  return function jobRetention_(req, res, next) {
    look(context, options, answers, req, res, next).then((passes) => void (passes && next()), next);
  };
}

/** Whether the request may go on to the handler. */
async function look(
  context: Context,
  options: Checked,
  answers: AnswerSettings,
  req: Request,
  res: Response,
  next: NextFunction,
): Promise<boolean> {
  if (options.skip?.(req) === true) return true;
  const refuse = (refusal: Refusal): false => {
    sendRefusal(refusal, answers, context.clock, req, res, next);
    return false;
  };
  const ref = await refOf(context, options, req);
  let job: StoredJob | undefined;
  try {
    job = ref && (await context.store.job(ref));
  } catch (error) {
    if (!(error instanceof StoreError)) throw error;
    context.emit('store-error', { operation: 'job', error });
    return refuse(storeUnavailable);
  }
  if (job === undefined || job.state === 'refunded' || job.state === 'lapsed') {
    return options.unknown === 'pass' || refuse(notFound);
  }
  const expired = options.of === 'results' ? job.expired !== undefined : job.expired === 'metadata';
  const expiresAt = options.of === 'results' ? job.resultsExpireAt : job.metadataExpireAt;
  if (expiresAt !== undefined && job.pinned === undefined) announce(res, expiresAt, options.link);
  if (expired) return refuse(expiredAt(options.of, expiresAt!));
  setStoredJob(req, context.properties.job, job);
  return true;
}

/** The earliest of several dates holds: a route may stand below another one's `jobRetention`. */
function announce(res: Response, date: number, link: string | undefined): void {
  const announced = Date.parse(res.get('Sunset') ?? '');
  if (!(announced <= date)) res.set('Sunset', new Date(date).toUTCString());
  const policy = `<${link}>; rel="sunset"`;
  if (link !== undefined && ![res.get('Link')].flat().includes(policy)) res.append('Link', policy);
}

/** `undefined` for a text that can't be a job's id. */
async function refOf(context: Context, { id, ref }: Checked, req: Request): Promise<JobRef | undefined> {
  if (ref !== undefined) return checkedRef(await ref(req));
  const named: unknown = id(req);
  if (named === undefined) {
    throw new RequestError(
      'JOB_ID_MISSING',
      500,
      `jobRetention: expected id(req) to return the job's id, received ${describe(named)}; without it, the route needs a parameter ':id'`,
    );
  }
  const customer = await customerOfRequest(req, context.customer);
  return isId(named) ? { customer, id: named } : undefined;
}

const notFound: Refusal = {
  allowed: false,
  code: 'JOB_NOT_FOUND',
  message: 'There is no such job',
  status: 404,
  violated: [],
};

const expiredAt = (of: 'results' | 'metadata', date: number): Refusal => ({
  allowed: false,
  code: 'JOB_EXPIRED',
  message: of === 'results' ? 'The results of this job have expired' : 'This job has expired',
  status: 410,
  violated: [],
  info: { expiredAt: new Date(date).toISOString() },
});
