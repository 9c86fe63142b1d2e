import type { Server } from 'node:http';
import { JobLimitsError } from '../errors.js';
import type { Context } from './context.js';
import type { GuardEmit, HighFrequencyOptions } from './high-frequency-options.js';
import { highFrequency, type GuardControl, type HighFrequency } from './high-frequency.js';

/** The guards of one `jobLimits()`: they watch the same servers, and share bans by the store. */
export interface Guards {
  make(options: HighFrequencyOptions): HighFrequency;
  /** Every guard watches the server, also one that is made later. */
  attach(server: Server): void;
  /** What operators see of each, in the order in which they were made. */
  controls: () => GuardControl[];
  /** @throws {JobLimitsError} `NO_GUARD` where none was made. */
  control(): GuardControl;
  reset(): void;
}

export function guardsOf({ answers, clock, emit, store }: Context): Guards {
  const guards: HighFrequency[] = [];
  const servers: Server[] = [];
  return {
    make(options) {
      const { responses, help, maxWait } = answers;
      const inherited = {
        ...(responses && { responses }),
        ...(help && { help }),
        ...(maxWait && { maxWait }),
      };
      // How much and how long is given with each refusal that is counted.
      const shared = { keyPrefix: 'ban', points: 1, duration: 1 };
      const ban = options?.ban && { limiter: store.limiter(shared), ...options.ban };
      const guard = highFrequency({
        ...inherited,
        clock,
        emit: emit as GuardEmit,
        ...options,
        ...(ban && { ban }),
      });
      for (const server of servers) guard.attach(server);
      guards.push(guard);
      return guard;
    },
    attach(server) {
      servers.push(server);
      for (const guard of guards) guard.attach(server);
    },
    controls: () => guards.map(({ guard }) => guard),
    control() {
      if (guards[0]) return guards[0].guard;
      throw new JobLimitsError('NO_GUARD', 'limits.guard: no limits.highFrequency() was made');
    },
    reset() {
      for (const guard of guards) guard.reset();
    },
  };
}
