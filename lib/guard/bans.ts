import { RateLimiterMemory } from 'rate-limiter-flexible';
import type { Client } from './client-key.js';

/** What is used of a rate-limiter-flexible limiter; any of its limiters has it. */
export interface BanLimiter {
  penalty(key: string, points: number, options: { customDuration: number }): Promise<BanCount>;
  set(key: string, points: number, durationSeconds: number): Promise<unknown>;
  delete(key: string): Promise<unknown>;
}

interface BanCount {
  consumedPoints: number;
  msBeforeNext: number;
}

export interface BanSettings {
  /** Refusals within the window that bring the ban; at least 1. */
  after: number;
  /** Milliseconds, at least 1,000. */
  windowMs: number;
  /** How long the ban lasts: milliseconds, at least 1,000. */
  forMs: number;
  /** Where refusals are counted and bans are kept. `undefined`: in this process. */
  limiter?: BanLimiter | undefined;
}

export interface BanEvents {
  /** The client is banned from now on, for so long. `began` is false where another process began it. */
  banned(client: Client, forMs: number, began: boolean): void;
  /** The limiter could not be asked; this process counts alone meanwhile. */
  failed(error: unknown): void;
}

export interface Bans {
  /** A request of this client was refused. Answers at once; what comes of it comes by the events. */
  refused(client: Client): void;
  /** Lifts a ban everywhere but in other processes that know it already. */
  lift(name: string): Promise<void>;
  /** Forgets what was counted in this process. */
  reset(): void;
}

/** Clients being reported at once; more are left to their next refusal. */
const REPORTED_AT_ONCE = 1_000;

/**
 * Counts refusals, across processes where the limiter is shared, and bans at the `after`-th. The limiter is called for
 * refusals only, one call a client at a time, and never for a client whose ban is known here: an allowed request costs
 * nothing, and a process learns of a ban that began elsewhere at the first request that it refuses itself.
 */
export function countBans(settings: BanSettings, events: BanEvents): Bans {
  const { after, windowMs, forMs } = settings;
  const windowSeconds = Math.ceil(windowMs / 1000);
  const forSeconds = Math.ceil(forMs / 1000);
  let local: BanLimiter = new RateLimiterMemory({ points: after, duration: windowSeconds });
  /** Refusals since the report under way, by client. */
  const reporting = new Map<string, number>();

  async function report(client: Client, refusals: number): Promise<void> {
    try {
      await countAt(settings.limiter ?? local, client, refusals);
    } catch (error) {
      events.failed(error);
      await countAt(local, client, refusals);
    }
  }

  async function countAt(limiter: BanLimiter, client: Client, refusals: number): Promise<void> {
    const { name } = client;
    const { consumedPoints, msBeforeNext } = await limiter.penalty(name, refusals, {
      customDuration: windowSeconds,
    });
    if (consumedPoints < after) return;
    // Counted up to `after` by this very report, or there already: then by the ban, which set it so.
    const begins = consumedPoints - refusals < after;
    events.banned(client, begins ? forMs : msBeforeNext, begins);
    if (begins) await limiter.set(name, after, forSeconds);
  }

  async function reportAll(client: Client): Promise<void> {
    for (let refusals = 1; refusals > 0; refusals = reporting.get(client.name) ?? 0) {
      reporting.set(client.name, 0);
      await report(client, refusals);
    }
  }

  return {
    refused(client) {
      const more = reporting.get(client.name);
      if (more !== undefined) reporting.set(client.name, more + 1);
      else if (reporting.size < REPORTED_AT_ONCE) {
        void reportAll(client)
          .catch((error: unknown) => events.failed(error))
          .finally(() => reporting.delete(client.name));
      }
    },
    async lift(name) {
      await local.delete(name);
      await settings.limiter?.delete(name);
    },
    reset() {
      local = new RateLimiterMemory({ points: after, duration: windowSeconds });
    },
  };
}
