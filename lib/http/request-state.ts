import type { Request, Response } from 'express';
import type { LimitState } from '../decision.js';
import type { AdmittedJob } from '../jobs/admitted-job.js';
import type { LimitStore, StoredJob } from '../stores/store.js';

/** Told once how the app answered. */
export interface OutcomeListener {
  /** The app has answered, whether or not the client is still there to hear it; the status is `res.statusCode`. */
  answered(res: Response): void;
  /** The client is gone and the app hasn't answered yet. `answered` may still come. */
  abandoned(res: Response): void;
}

/** What the middlewares of this package know of one request, shared between them. */
export class RequestState {
  /** The jobs admitted for this request: one for each store and customer. */
  readonly jobs: AdmittedJob[] = [];
  /** Where the limits stand that were checked so far. */
  limits: LimitState[] = [];
  /** Who it is, and by which function: nearly always one for all middlewares. */
  customerOf: unknown = undefined;
  customer: string | Promise<string> = '';
  /** The job that the request reads. */
  stored: StoredJob | undefined = undefined;
  /** Who is to be told how the app answered, until it has. */
  readonly outcomes: OutcomeListener[] = [];
}

/**
 * A named property rather than a symbol: V8 turns an object as large as a request into a slow dictionary when a property
 * is added by a computed key, which costs more than all the rest of an admission.
 */
type Holder = Request & { _jobLimits?: RequestState };

export function stateOfRequest(req: Request): RequestState {
  const holder = req as Holder;
  return (holder._jobLimits ??= new RequestState());
}

/**
 * The job that a middleware used alone admitted this request for; `limits.job(req)` is the same for those of `jobLimits()`.
 * `undefined` where none did. A job that only the request holds is found only where there is no other.
 *
 * @param store Only jobs on this store. @default any
 */
export function jobOfRequest(req: Request, store?: LimitStore): AdmittedJob | undefined {
  const jobs = stateOfRequest(req).jobs.filter((job) => store === undefined || job.store === store);
  return jobs.find((job) => job.hold === 'job') ?? jobs[0];
}

/** The job that a request reads, where `jobRetention` stands before its handler; `undefined` where it is unknown. */
export const storedJobOfRequest = (req: Request): StoredJob | undefined => stateOfRequest(req).stored;

export function setStoredJob(req: Request, name: string, job: StoredJob): void {
  stateOfRequest(req).stored = job;
  (req as unknown as Record<string, StoredJob>)[name] = job;
}

/** Puts the conveniences where the host wants them. The default names are spelled out for the reason above. */
export function setJob(req: Request, name: string, job: AdmittedJob): void {
  if (name === 'job') (req as Request & { job: AdmittedJob }).job = job;
  else (req as unknown as Record<string, AdmittedJob>)[name] = job;
}

export function setLimits(req: Request, name: string, limits: LimitState[]): void {
  if (name === 'limits') (req as Request & { limits: LimitState[] }).limits = limits;
  else (req as unknown as Record<string, LimitState[]>)[name] = limits;
}
