import type { Request } from 'express';
import type { LimitState } from '../decision.js';
import type { OutcomeListener } from './outcome.js';
import type { AdmittedJob } from '../jobs/admitted-job.js';

/** What the middlewares of this package know of one request, shared between them. */
export class RequestState {
  /** The jobs admitted for this request: one for each store and customer. */
  readonly jobs: AdmittedJob[] = [];
  /** Where the limits stand that were checked so far. */
  limits: LimitState[] = [];
  /** Who it is, and by which function: nearly always one for all middlewares. */
  customerOf: unknown = undefined;
  customer: string | Promise<string> = '';
  /** Told how the app answered. */
  outcome: OutcomeListener | undefined = undefined;
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

/** Puts the conveniences where the host wants them. The default names are spelled out for the reason above. */
export function setJob(req: Request, name: string, job: AdmittedJob): void {
  if (name === 'job') (req as Request & { job: AdmittedJob }).job = job;
  else (req as unknown as Record<string, AdmittedJob>)[name] = job;
}

export function setLimits(req: Request, name: string, limits: LimitState[]): void {
  if (name === 'limits') (req as Request & { limits: LimitState[] }).limits = limits;
  else (req as unknown as Record<string, LimitState[]>)[name] = limits;
}
