import type { JobRef } from 'express-job-limits';
import type { EndedJobs, JobInfo, MediaJob } from './ended-jobs.js';
import type { Report } from './inputs.js';

interface RunningJob {
  info: JobInfo;
  results: Report[];
  timer?: NodeJS.Timeout;
  ending?: Promise<void> | undefined;
}

export interface JobRunnerOptions {
  /** How long a job takes, in milliseconds. */
  jobMs: number;
  /** Where jobs go that have ended. */
  ended: EndedJobs;
  /** Tells the limits that a job has ended. */
  finish: (ref: JobRef, outcome: { state: 'completed' | 'cancelled' }) => Promise<unknown>;
}

const FINISH_AGAIN_MS = 1_000;

/** Runs jobs in this process. A real API has a queue and workers here, which get the `ref` and call `finish` with it. */
export class JobRunner {
  readonly #running = new Map<string, RunningJob>();

  constructor(private readonly options: JobRunnerOptions) {}

  start(ref: JobRef, results: Report[]): MediaJob {
    const inputs = results.map(({ source, bytes, md5, mime }) => ({ source, bytes, md5, mime }));
    const job: RunningJob = { info: { ref, state: 'running', createdAt: Date.now(), inputs }, results };
    this.#running.set(keyOf(ref), job);
    this.#endIn(job, this.options.jobMs);
    return job.info;
  }

  /** The customer's job of this id, or `undefined` when there is none, or none any more. */
  async get(ref: JobRef): Promise<MediaJob | undefined> {
    return this.#running.get(keyOf(ref))?.info ?? this.options.ended.get(ref);
  }

  /** Ends a running job; of one that has ended already nothing changes. */
  async cancel(ref: JobRef): Promise<MediaJob | undefined> {
    const job = this.#running.get(keyOf(ref));
    if (job !== undefined) await this.#end(job, 'cancelled');
    return this.get(ref);
  }

  /** Forgets what is running, which would not survive the process anyway, and waits for what is ending. */
  async close(): Promise<void> {
    const jobs = [...this.#running.values()];
    this.#running.clear();
    for (const { timer } of jobs) clearTimeout(timer);
    await Promise.allSettled(jobs.flatMap(({ ending }) => ending ?? []));
  }

  #endIn(job: RunningJob, afterMs: number): void {
    job.timer = setTimeout(() => {
      this.#end(job, 'completed').catch((error: unknown) => {
        if (!this.#running.has(keyOf(job.info.ref))) return;
        console.error(`Job ${job.info.ref.id} could not be finished, trying again:`, error);
        this.#endIn(job, FINISH_AGAIN_MS);
      });
    }, afterMs).unref();
  }

  #end(job: RunningJob, state: 'completed' | 'cancelled'): Promise<void> {
    return (job.ending ??= this.#finish(job, state).finally(() => {
      job.ending = undefined;
    }));
  }

  /**
   * The results are there before the limits begin to count how long they are kept, and its slot goes back before anybody is
   * told of the end, so that a client that sees the end can use the slot.
   */
  async #finish({ info, results, timer }: RunningJob, state: 'completed' | 'cancelled'): Promise<void> {
    const ended = { ...info, state, endedAt: Date.now() };
    await this.options.ended.add(state === 'completed' ? { ...ended, results } : ended);
    await this.options.finish(info.ref, { state });
    clearTimeout(timer);
    this.#running.delete(keyOf(info.ref));
  }
}

/** Two customers may choose the same id for their jobs. */
const keyOf = ({ customer, id }: JobRef): string => JSON.stringify([customer, id]);
