import { randomUUID } from 'node:crypto';
import { Queue, QueueEvents, Worker, type JobsOptions, type Processor, type WorkerOptions } from 'bullmq';
import { bullJobId } from '../../lib/bullmq/index.js';
import {
  jobLifecycle,
  ManualClock,
  MemoryStore,
  type JobLifecycle,
  type JobRef,
  type LimitStore,
  type StoredJob,
  type Terms,
} from '../../lib/index.js';
import { HOUR, slots, termsOf } from '../../lib/testing/harness.js';

/** As short as a plan allows. */
export const HEARTBEAT_MS = 1_000;

/** A queue of BullMQ on a real Redis, and the limits in memory with time in hand. */
export interface BullScene {
  clock: ManualClock;
  store: LimitStore;
  lifecycle: JobLifecycle;
  queue: Queue;
  /** What the lifecycle said of each finish. */
  finishes: { id: string; answer: string; state: string }[];
  /** Errors that BullMQ's objects emitted. */
  errors: Error[];
  events(options?: { lastEventId?: string }): QueueEvents;
  worker(processor: Processor | string, options?: Partial<WorkerOptions>): Worker;
  /** Admits a job, commits it and adds it to the queue. */
  add(id: string, options?: JobsOptions, data?: object): Promise<JobRef>;
  job(ref: JobRef): Promise<StoredJob>;
  close(): Promise<void>;
}

export function bullScene(
  port: number,
  {
    clock = new ManualClock(),
    store = new MemoryStore({ clock }),
    terms = termsOf(slots(10, { heartbeatMs: HEARTBEAT_MS, maxRunMs: HOUR })),
  }: { clock?: ManualClock; store?: LimitStore; terms?: Terms } = {},
): BullScene {
  const connection = { host: '127.0.0.1', port };
  const name = randomUUID();
  const opened: { close(): Promise<unknown> }[] = [];
  const errors: Error[] = [];
  const open = <T extends Queue | QueueEvents | Worker>(made: T): T => {
    opened.unshift(made);
    (made as QueueEvents).on('error', (error) => void errors.push(error));
    return made;
  };
  const lifecycle = jobLifecycle({ store, clock });
  const finishes: BullScene['finishes'] = [];
  lifecycle.on('finish', ({ ref, answer, state }) => finishes.push({ id: ref.id, answer, state }));
  const queue = open(new Queue(name, { connection }));
  return {
    clock,
    store,
    lifecycle,
    queue,
    finishes,
    errors,
    events: (options = {}) => open(new QueueEvents(name, { connection, ...options })),
    worker: (processor, options = {}) => open(new Worker(name, processor, { connection, ...options })),
    async add(id, options = {}, data = {}) {
      const ref = { customer: 'acme: & co', id };
      await store.admit({ ref, run: id, terms });
      await store.commit(ref);
      await queue.add('encode', data, { ...options, jobId: bullJobId(ref) });
      return ref;
    },
    job: async (ref) => (await store.job(ref))!,
    async close() {
      for (const each of opened) await each.close();
      await store.close();
    },
  };
}
