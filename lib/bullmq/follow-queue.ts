import { setTimeout as delay } from 'node:timers/promises';
import type { Queue, QueueEvents } from 'bullmq';
import { systemClock } from '../clock.js';
import { StoreError } from '../errors.js';
import type { JobOutcome, Lifecycle } from '../jobs/lifecycle.js';
import { checkOptions, duration, func, having, optional, withDefault } from '../options.js';
import type { JobRef } from '../stores/store.js';
import type { Duration } from '../units.js';
import { refOfBullJob } from './job-id.js';

/** How a job left the queue. */
export interface QueueEnd {
  ref: JobRef;
  /** `failed`: after its last attempt. `cancelled`: it was removed before it ended. */
  state: 'completed' | 'failed' | 'cancelled';
  /** What the processor of a completed job returned. */
  returnvalue?: unknown;
}

/** Options of `followQueue()`. */
export interface FollowQueueOptions {
  /** `jobLimits()` or `jobLifecycle()`, on the store that admitted the jobs. */
  lifecycle: Pick<Lifecycle, 'finish' | 'renew'>;
  /** The queue's events. What fails is emitted here, as `error`. */
  queueEvents: Pick<QueueEvents, 'on' | 'emit'>;
  /** The queue, where plans have a `heartbeat`: jobs that wait in it are renewed, since no worker has them. */
  queue?: Pick<Queue, 'getRanges'>;
  /** How often those are renewed: a third of the `heartbeat` or less. At least 100 ms. @default '15s' */
  every?: Duration;
  /** What a job really used, by unit; `undefined` leaves what it was admitted with. @default () => undefined */
  units?: (end: QueueEnd) => JobOutcome['units'];
}

const RETRY_MS = 1_000;
/** How many renewals are under way at once. */
const BATCH = 50;
/** Where BullMQ has the jobs that neither run nor have ended. */
const WAITING = ['waiting', 'prioritized', 'delayed', 'waiting-children'] as const;

/**
 * Finishes jobs as BullMQ ends them: `completed`, `failed` after the last attempt, `cancelled` where they were removed before.
 * Any number of processes may do it: the first counts.
 *
 * @returns What stops it, and waits for what is under way.
 * @throws {ConfigError}
 */
export function followQueue(options: FollowQueueOptions): { stop: () => Promise<void> } {
  const { lifecycle, queueEvents, queue, every, units } = checkOptions('followQueue', options, {
    lifecycle: having<FollowQueueOptions['lifecycle']>('jobLimits() or jobLifecycle()', 'finish', 'renew'),
    queueEvents: having<FollowQueueOptions['queueEvents']>('QueueEvents', 'on', 'emit'),
    queue: optional(having<NonNullable<FollowQueueOptions['queue']>>('a Queue', 'getRanges')),
    every: withDefault(duration({ min: 100 }), 15_000),
    units: optional(func<NonNullable<FollowQueueOptions['units']>>()),
  });
  const stopping = new AbortController();
  const { signal } = stopping;
  const underWay = new Set<Promise<void>>();
  const tell = (error: unknown): void => void queueEvents.emit('error', error as Error);

  const finish = async (end: QueueEnd): Promise<void> => {
    for (let amountsOf = units; !signal.aborted;) {
      try {
        const amounts = amountsOf?.(end);
        await lifecycle.finish(end.ref, { state: end.state, ...(amounts && { units: amounts }) });
        return;
      } catch (error) {
        tell(error);
        // Amounts that are wrong must not cost the slot.
        if (!(error instanceof StoreError)) amountsOf = undefined;
        await delay(RETRY_MS, undefined, { ref: false, signal }).catch(() => {});
      }
    }
  };
  const ended = (jobId: string, state: QueueEnd['state'], returnvalue?: unknown): void => {
    const ref = refOfBullJob(jobId);
    if (ref === undefined) return;
    const finished = finish({ ref, state, returnvalue }).finally(() => underWay.delete(finished));
    underWay.add(finished);
  };
  queueEvents.on('completed', ({ jobId, returnvalue }) => ended(jobId, 'completed', returnvalue));
  // Of an attempt that is repeated, BullMQ says something else.
  queueEvents.on('failed', ({ jobId }) => ended(jobId, 'failed'));
  queueEvents.on('removed', ({ jobId, prev }) => {
    if (prev !== 'completed' && prev !== 'failed') ended(jobId, 'cancelled');
  });

  let turn: Promise<void> | undefined;
  const renewWaiting = async (): Promise<void> => {
    const ids = await queue!.getRanges([...WAITING], 0, -1);
    const refs = ids.map(refOfBullJob).filter((ref) => ref !== undefined);
    for (let i = 0; i < refs.length && !signal.aborted; i += BATCH) {
      await Promise.all(refs.slice(i, i + BATCH).map((ref) => lifecycle.renew(ref)));
    }
  };
  const look = (): void => {
    turn ??= renewWaiting()
      .catch(tell)
      .finally(() => (turn = undefined));
  };
  const stopTimer = queue && systemClock.every(every, look);
  if (queue) look();

  return {
    async stop() {
      stopping.abort();
      stopTimer?.();
      await Promise.all([turn, ...underWay]);
    },
  };
}
