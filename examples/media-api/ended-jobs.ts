import { createHash } from 'node:crypto';
import { mkdir, readFile, rename, rm, writeFile } from 'node:fs/promises';
import { join } from 'node:path';
import type { JobRef } from 'express-job-limits';
import type { Report } from './inputs.js';

/** What is known of a job besides its results. */
export interface JobInfo {
  ref: JobRef;
  state: 'running' | 'completed' | 'cancelled';
  /** Epoch milliseconds. */
  createdAt: number;
  /** Missing while the job is running. */
  endedAt?: number;
  inputs: Pick<Report, 'source' | 'bytes' | 'md5' | 'mime'>[];
}

export interface MediaJob extends JobInfo {
  /** Missing where there are none: the job has not completed, or they have expired. */
  results?: Report[];
}

/**
 * Jobs that have ended, in a directory: two files a job, since results and what is known of it are kept for different
 * times. Processes that share the directory can all read and delete them.
 */
export class EndedJobs {
  constructor(readonly directory: string) {}

  async add({ results, ...info }: MediaJob): Promise<void> {
    await mkdir(this.directory, { recursive: true });
    if (results !== undefined) await write(this.#path(info.ref, 'results'), results);
    await write(this.#path(info.ref, 'info'), info);
  }

  async get(ref: JobRef): Promise<MediaJob | undefined> {
    const info = await read<JobInfo>(this.#path(ref, 'info'));
    const results = info && (await read<Report[]>(this.#path(ref, 'results')));
    return results === undefined ? info : { ...info!, results };
  }

  /** Deleting what is gone already is right: a sweeper may do it twice. */
  async delete(ref: JobRef, what: 'results' | 'info'): Promise<void> {
    await rm(this.#path(ref, what), { force: true });
  }

  /** Two customers may choose the same id, and ids may hold anything. */
  #path({ customer, id }: JobRef, what: 'results' | 'info'): string {
    const name = createHash('sha256')
      .update(JSON.stringify([customer, id]))
      .digest('hex');
    return join(this.directory, `${name}.${what}.json`);
  }
}

/** Whoever reads it meanwhile gets all of it or nothing. */
async function write(path: string, value: unknown): Promise<void> {
  const unfinished = `${path}.${process.pid}.tmp`;
  await writeFile(unfinished, JSON.stringify(value));
  await rename(unfinished, path);
}

async function read<T>(path: string): Promise<T | undefined> {
  try {
    return JSON.parse(await readFile(path, 'utf8')) as T;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code === 'ENOENT') return undefined;
    throw error;
  }
}
