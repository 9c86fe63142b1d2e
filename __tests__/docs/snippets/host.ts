import { randomUUID } from 'node:crypto';
import express, { type Express, type RequestHandler } from 'express';
import type { JobRef } from '../../../lib/index.js';

declare module 'express-serve-static-core' {
  interface Request {
    /** Set by `authenticate`. */
    user?: { accountId: string };
  }
}

/** Stands for the host's own authentication: the bearer token is the account. */
export const authenticate: RequestHandler = (req, _res, next) => {
  const account = req.get('authorization')?.replace(/^Bearer /, '');
  if (account !== undefined) req.user = { accountId: account };
  next();
};

export interface QueuedJob {
  id: string;
  name: string;
  data: { ref: JobRef };
}

/** Stands for the host's queue: what `add` took waits until a test says how it ended. */
class Queue {
  readonly waiting: QueuedJob[] = [];
  down = false;

  async add(name: string, data: QueuedJob['data']): Promise<QueuedJob> {
    if (this.down) throw new Error('the queue is down');
    // What goes through a real queue goes as JSON.
    const job = JSON.parse(JSON.stringify({ id: randomUUID(), name, data })) as QueuedJob;
    this.waiting.push(job);
    return job;
  }
}

type Listener = (job: QueuedJob) => unknown;

/** Stands for the host's worker, whose listeners are called when a job ends. */
class Worker {
  readonly #listeners: Record<string, Listener[]> = {};

  constructor(readonly queue: Queue) {}

  on(event: 'active' | 'completed' | 'failed', listener: Listener): void {
    (this.#listeners[event] ??= []).push(listener);
  }

  async emit(event: 'active' | 'completed' | 'failed', job = this.queue.waiting.shift()!): Promise<void> {
    for (const listener of this.#listeners[event] ?? []) await listener(job);
  }
}

/** An app, a queue and its worker, of its own for each snippet. */
export function host(): { app: Express; queue: Queue; worker: Worker } {
  const queue = new Queue();
  return { app: express(), queue, worker: new Worker(queue) };
}
