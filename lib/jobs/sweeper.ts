import type { Clock } from '../clock.js';
import { checkOptions } from '../options.js';
import type { LimitStore } from '../stores/store.js';
import type { SweepReport, Tell } from './events.js';
import { sweepChecks, type SweepOptions } from './sweep-options.js';
import { sweepTurn } from './sweep-turn.js';

export interface Sweeper {
  /** Looks for due jobs now; where a turn is under way, waits for that one instead. Never throws: what fails is told. */
  turn: () => Promise<SweepReport>;
  /** Begins nothing more, stops the timer, and waits for the callbacks under way, `leaseMs` at most. */
  stop: () => Promise<void>;
}

/**
 * Ends jobs that ran too long, announces what is about to expire, and deletes what has, until it is stopped. Any number of
 * processes may do it at once: each job is claimed by one.
 *
 * @throws {ConfigError}
 */
export function startSweeper(store: LimitStore, options: SweepOptions, tell: Tell, clock: Clock): Sweeper {
  const { signal, ...settings } = checkOptions('sweep', options, sweepChecks);
  const state = { stopped: false, most: settings.batch };
  let underWay: Promise<SweepReport> | undefined;
  const turn = (): Promise<SweepReport> =>
    (underWay ??= sweepTurn(store, settings, state, tell, clock).finally(() => {
      underWay = undefined;
    }));
  const stopTimer = clock.every(settings.everyMs, () => void turn());
  const stop = async (): Promise<void> => {
    state.stopped = true;
    stopTimer();
    signal?.removeEventListener('abort', onAbort);
    await underWay;
  };
  const onAbort = (): void => void stop();
  signal?.addEventListener('abort', onAbort);
  if (signal?.aborted) onAbort();
  else void turn();
  return { turn, stop };
}
