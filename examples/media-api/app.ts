import { randomUUID } from 'node:crypto';
import { rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express, { type ErrorRequestHandler, type Express, type Request } from 'express';
import { jobLimits, type Clock, type JobLimits, type LimitStore } from 'express-job-limits';
import { batchJobs } from './batch.js';
import { keyOf } from './customer.js';
import { EndedJobs } from './ended-jobs.js';
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
  /** Where jobs are kept that have ended, shared as the store is; a directory of its own if it is left out. */
  directory?: string | undefined;
  /** Where the limits have the time from; the machine's clock if it is left out. */
  clock?: Clock | undefined;
}

export interface MediaApi {
  app: Express;
  limits: JobLimits;
  /** Puts other plans in force; wrong ones throw and leave the old ones. */
  setPlans(plans: PlansFile): void;
  /** Stops everything, once what is ending has ended. */
  close(): Promise<void>;
}

/** Short, so that it can be watched. Once in ten seconds is enough for most. */
const SWEEP_EVERY = '1s';

/** The whole API, ready to listen. */
export function createApp({ plans: first, jobMs, store, processes, directory, clock }: Settings): MediaApi {
  let plans = first;

  // A key that has no plan is nobody's: it gets 401.
  const customer = async (req: Request): Promise<string | undefined> => {
    const key = await keyOf(req);
    return key !== undefined && planOf(plans, key) !== undefined ? key : undefined;
  };
  const limits = jobLimits({
    ...(store && { store }),
    ...(store && processes && { processes }),
    ...(clock && { clock }),
    customer,
    plans: plansOf(plans),
    plan: (of) => planOf(plans, of) as string,
  });
  const ended = new EndedJobs(directory ?? join(tmpdir(), `media-api-${randomUUID()}`));
  const jobs = new JobRunner({ jobMs, ended, finish: (ref, outcome) => limits.finish(ref, outcome) });
  // Any number of processes may do this: each deletion is one's own, and is tried again until it succeeds.
  limits.sweep({
    everyMs: SWEEP_EVERY,
    onExpire: ({ ref }) => ended.delete(ref, 'results'),
    onMetadataExpire: ({ ref }) => ended.delete(ref, 'info'),
  });

  const app = express();
  app.disable('x-powered-by');
  app.use(assemblies(limits, jobs));
  app.use('/v0/batch', batchJobs(limits, jobs));
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
      await jobs.close();
      await limits.close();
      if (directory === undefined) await rm(ended.directory, { recursive: true, force: true });
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
