import type { Request } from 'express';
import type { LimitState } from '../decision.js';
import type { AdmittedJob } from '../jobs/admitted-job.js';

/** What the middlewares of this package know of one request, shared between them. */
export interface RequestState {
  /** The jobs admitted for this request: one for each store and customer. */
  jobs: AdmittedJob[];
  /** Where the limits stand that were checked so far. */
  limits: LimitState[];
  /** Who it is, by the function that says so. */
  customers: Map<unknown, string | Promise<string>>;
}

const STATE = Symbol('express-job-limits');

export function stateOfRequest(req: Request): RequestState {
  const holder = req as Request & { [STATE]?: RequestState };
  return (holder[STATE] ??= { jobs: [], limits: [], customers: new Map() });
}
