/** Where the client's time comes from. `ManualClock` of the package is one. */
export interface ClientClock {
  /** Milliseconds on a monotonic clock, of no fixed origin. Waits go by it. */
  now(): number;
  /** Milliseconds since 1970, UTC. Dates from and for the outside go by it. */
  wallNow(): number;
}

/** Resolves after `durationMs`; rejects with the signal's reason as soon as it is aborted. */
export type Sleep = (durationMs: number, signal: AbortSignal | undefined) => Promise<void>;

export const systemClock: ClientClock = {
  now: () => performance.now(),
  wallNow: () => Date.now(),
};

export const systemSleep: Sleep = (durationMs, signal) =>
  new Promise((resolve, reject) => {
    const stop = (): void => {
      clearTimeout(timer);
      reject(signal?.reason as Error);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener('abort', stop);
      resolve();
    }, durationMs);
    signal?.addEventListener('abort', stop, { once: true });
  });

/** Past it a timer fires at once, in Node as in browsers. */
const LONGEST_TIMER_MS = 2 ** 31 - 1;

/** Sleeps until the clock has come to `until`: timers may fire a millisecond early, and some waits are too long for one. */
export async function pauseUntil(
  until: () => number,
  { clock, sleep }: { clock: ClientClock; sleep: Sleep },
  signal: AbortSignal | undefined,
): Promise<void> {
  for (;;) {
    signal?.throwIfAborted();
    const leftMs = until() - clock.now();
    if (leftMs <= 0) return;
    await sleep(Math.min(leftMs, LONGEST_TIMER_MS), signal);
  }
}
