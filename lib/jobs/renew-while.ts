import type { Clock } from '../clock.js';
import { JobLimitsError } from '../errors.js';
import { checkOptions, timerDuration, withDefault } from '../options.js';
import type { JobRef, LimitStore } from '../stores/store.js';
import type { Duration } from '../units.js';
import type { Tell } from './events.js';

export interface RenewOptions {
  /** How often the job is renewed: a third of its `heartbeat` or less. At least a second. @default '30s' */
  every?: Duration;
}

/**
 * Renews a job while `work` runs, and gives what it gives. A renewal that fails does the job no harm: the next one makes up
 * for it. `signal` is aborted where the job should not go on: it ran past `maxRun`, or was finished or refunded by somebody
 * else. Whether the work heeds that is its own affair.
 */
export async function renewWhile<T>(
  store: LimitStore,
  ref: JobRef,
  work: (signal: AbortSignal) => Promise<T>,
  options: RenewOptions,
  tell: Tell,
  clock: Clock,
): Promise<T> {
  const { every } = checkOptions('renewWhile', options, {
    every: withDefault(timerDuration({ min: 1000 }), 30_000),
  });
  const ended = new AbortController();
  const renew = async (): Promise<void> => {
    try {
      const answer = await store.renew(ref);
      tell('renew', { ref, answer });
      if (answer === 'renewed' || answer === 'reinstated' || answer === 'unknown') return;
      stop();
      ended.abort(new JobLimitsError('JOB_ENDED', `The job should not go on: renewing it says '${answer}'`));
    } catch (error) {
      tell('store-error', { operation: 'renew', error });
    }
  };
  const stop = clock.every(every, () => void renew());
  try {
    return await work(ended.signal);
  } finally {
    stop();
  }
}
