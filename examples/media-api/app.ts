import express, { type ErrorRequestHandler, type Express, type Request } from 'express';
import { jobLimits, type JobLimits, type JobRef, type LimitStore } from 'express-job-limits';
import { batchJobs } from './batch.js';
import { keyOf } from './customer.js';
import { HttpError } from './http-error.js';
import { JobRunner } from './jobs.js';
import { planOf, plansOf, type PlansFile } from './plans-file.js';
import { assemblies } from './transloadit.js';

export interface Settings {
  plans: PlansFile;
  /** How long a job takes, in milliseconds. */
  jobMs: number;
  /** Where the limits are counted; in this process if it is left out. */
  store?: LimitStore | undefined;
  /** How many processes share the store. */
  processes?: number | undefined;
}

export interface MediaApi {
  app: Express;
  limits: JobLimits;
  /** Puts other plans in force; wrong ones throw and leave the old ones. */
  setPlans(plans: PlansFile): void;
  /** Ends what is running. */
  close(): Promise<void>;
}

/** The whole API, ready to listen. */
export function createApp({ plans: first, jobMs, store, processes }: Settings): MediaApi {
  let plans = first;

  // A key that has no plan is nobody's: it gets 401.
  const customer = async (req: Request): Promise<string | undefined> => {
    const key = await keyOf(req);
    return key !== undefined && planOf(plans, key) !== undefined ? key : undefined;
  };
  const refOf = async (req: Request): Promise<JobRef> => {
    const who = await customer(req);
    if (who === undefined) throw new HttpError(401, 'CUSTOMER_MISSING', 'No customer has this key');
    return { customer: who, id: req.params.id as string };
  };

  const limits = jobLimits({
    ...(store && { store }),
    ...(store && processes && { processes }),
    customer,
    plans: plansOf(plans),
    plan: (of) => planOf(plans, of) as string,
  });
  const jobs = new JobRunner({ jobMs, finish: (ref, outcome) => limits.finish(ref, outcome) });

  const app = express();
  app.disable('x-powered-by');
  app.use(assemblies(limits, jobs, refOf));
  app.use('/v0/batch', batchJobs(limits, jobs, refOf));
  app.get('/limits', limits.usage());
  app.use(() => {
    throw new HttpError(404, 'NOT_FOUND', 'There is no such route');
  });
  app.use(answerError);

  return {
    app,
    limits,
    setPlans(next) {
      limits.setPlans(plansOf(next));
      plans = next;
    },
    async close() {
      jobs.close();
      await limits.close();
    },
  };
}

/** Answers errors in the shape of the limits' own refusals. */
const answerError: ErrorRequestHandler = (error: Partial<HttpError> & { type?: string }, _req, res, next) => {
  if (res.headersSent) {
    next(error);
    return;
  }
  const status = error.status ?? 500;
  if (status === 401) res.set('WWW-Authenticate', 'Bearer');
  if (status < 500) {
    res.status(status).json({ error: error.code ?? error.type ?? 'BAD_REQUEST', message: error.message });
  } else {
    console.error(error);
    res.status(status).json({ error: error.code ?? 'INTERNAL_ERROR', message: 'Something went wrong' });
  }
};
