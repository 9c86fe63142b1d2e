import type { JobRef } from 'express-job-limits';
import type { Report } from './inputs.js';

export interface MediaJob {
  ref: JobRef;
  state: 'running' | 'completed' | 'cancelled';
  /** Epoch milliseconds. */
  createdAt: number;
  /** Missing while the job is running. */
  endedAt?: number;
  reports: Report[];
}

interface RunningJob extends MediaJob {
  timer?: NodeJS.Timeout;
  ending?: boolean;
}

export interface JobRunnerOptions {
  /** How long a job takes, in milliseconds. */
  jobMs: number;
  /** Tells the limits that a job has ended. */
  finish: (ref: JobRef, outcome: { state: 'completed' | 'cancelled' }) => Promise<unknown>;
}

/** Ended jobs whose results are kept; the one that ended first makes room. */
const MOST_ENDED = 10_000;
const FINISH_AGAIN_MS = 1_000;

/** Runs jobs in this process. A real API has a queue and workers here, which get the `ref` and call `finish` with it. */
export class JobRunner {
  readonly #running = new Map<string, RunningJob>();
  readonly #ended = new Map<string, MediaJob>();

  constructor(private readonly options: JobRunnerOptions) {}

  start(ref: JobRef, reports: Report[]): MediaJob {
    const job: RunningJob = { ref, state: 'running', createdAt: Date.now(), reports };
    this.#running.set(keyOf(ref), job);
    this.#endIn(job, this.options.jobMs);
    return job;
  }

  /** The customer's job of this id, or `undefined` when there is none, or none any more. */
  get(ref: JobRef): MediaJob | undefined {
    return this.#running.get(keyOf(ref)) ?? this.#ended.get(keyOf(ref));
  }

  /** Ends a running job; of one that has ended already nothing changes. */
  async cancel(ref: JobRef): Promise<MediaJob | undefined> {
    const job = this.#running.get(keyOf(ref));
    if (job !== undefined) await this.#end(job, 'cancelled');
    return this.get(ref);
  }

  /** Forgets what is running: it would not survive the process anyway. */
  close(): void {
    for (const { timer } of this.#running.values()) clearTimeout(timer);
    this.#running.clear();
  }

  #endIn(job: RunningJob, afterMs: number): void {
    job.timer = setTimeout(() => {
      this.#end(job, 'completed').catch((error: unknown) => {
        if (!this.#running.has(keyOf(job.ref))) return;
        console.error(`Job ${job.ref.id} could not be finished, trying again:`, error);
        this.#endIn(job, FINISH_AGAIN_MS);
      });
    }, afterMs).unref();
  }

  /** Its slot goes back before anybody is told of the end, so that a client that sees the end can use the slot. */
  async #end(job: RunningJob, state: 'completed' | 'cancelled'): Promise<void> {
    if (job.ending) return;
    job.ending = true;
    try {
      await this.options.finish(job.ref, { state });
    } finally {
      job.ending = false;
    }
    clearTimeout(job.timer);
    const { ref, createdAt, reports } = job;
    this.#running.delete(keyOf(ref));
    this.#ended.set(keyOf(ref), { ref, state, createdAt, endedAt: Date.now(), reports });
    if (this.#ended.size > MOST_ENDED) this.#ended.delete(this.#ended.keys().next().value as string);
  }
}

/** Two customers may choose the same id for their jobs. */
const keyOf = ({ customer, id }: JobRef): string => JSON.stringify([customer, id]);
