import { ManualClock } from '../../lib/clock.js';
import type { Sleep } from '../../lib/client/index.js';

export interface VirtualTime {
  clock: ManualClock;
  sleep: Sleep;
  /** Every sleep so far, in milliseconds. */
  slept: number[];
}

/** Sleeping moves the clock and takes no time: for one caller at a time, who thus sees time pass only in its waits. */
export function virtualTime(): VirtualTime {
  const clock = new ManualClock();
  const slept: number[] = [];
  return {
    clock,
    slept,
    async sleep(durationMs, signal) {
      signal?.throwIfAborted();
      slept.push(durationMs);
      clock.advance(durationMs);
    },
  };
}

/** Sleepers are woken by the test: `pass` moves the clock and wakes those whose time has come, in order. */
export function manualTime(): {
  clock: ManualClock;
  sleep: Sleep;
  pass: (durationMs: number) => Promise<void>;
} {
  const clock = new ManualClock();
  const sleepers = new Set<{ dueAt: number; wake: () => void }>();
  return {
    clock,
    sleep: (durationMs) =>
      new Promise((wake) => {
        sleepers.add({ dueAt: clock.now() + durationMs, wake });
      }),
    async pass(durationMs) {
      const end = clock.now() + durationMs;
      for (;;) {
        const due = [...sleepers].filter(({ dueAt }) => dueAt <= end).sort((a, b) => a.dueAt - b.dueAt)[0];
        if (due === undefined) break;
        sleepers.delete(due);
        clock.advance(Math.max(0, due.dueAt - clock.now()));
        due.wake();
        await new Promise((resolve) => setImmediate(resolve));
      }
      clock.advance(end - clock.now());
    },
  };
}
