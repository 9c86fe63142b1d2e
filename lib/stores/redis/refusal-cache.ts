import type { Decision, Refused } from '../store.js';

/** How long a refusal may be repeated without asking again: what overrides and freed slots may be late by. */
const LONGEST_MS = 1_000;
const MOST_CUSTOMERS = 10_000;
const MOST_TERMS = 16;

interface Entry {
  refused: Refused;
  /** When it was decided. */
  at: number;
  /** Until when it is repeated to everybody. */
  until: number;
  /** Until when it holds by itself, so that while one request asks anew the others need not. */
  holdsUntil: number;
}

/**
 * Refusals just given, so that a customer that hammers at its limit costs the store one command a second a process.
 * Bounded: the oldest go first. Repeats tell the wait that is left at their time.
 */
export class RefusalCache {
  readonly #customers = new Map<string, Map<string, Entry>>();

  /** The refusal that still holds for this customer on these terms and amounts, if there is one. */
  get(customer: string, asked: string, now: number): Refused | undefined {
    const entries = this.#customers.get(customer);
    const entry = entries?.get(asked);
    if (entries === undefined || entry === undefined) return undefined;
    if (now < entry.until) return aged(entry.refused, now - entry.at);
    // This one asks. The others are told what still holds, for as long again at most.
    if (now < entry.holdsUntil) entry.until = Math.min(entry.holdsUntil, now + LONGEST_MS);
    else this.#delete(customer, entries, asked);
    return undefined;
  }

  /** Remembers a refusal, or forgets one that another decision has proved wrong. */
  set(customer: string, asked: string, decision: Decision, now: number): void {
    let entries = this.#customers.get(customer);
    if (decision.allowed) {
      if (entries !== undefined) this.#delete(customer, entries, asked);
      return;
    }
    if (entries === undefined) this.#customers.set(customer, (entries = this.#makeRoom()));
    const wait = decision.retryAfterMs ?? LONGEST_MS;
    const until = now + Math.min(LONGEST_MS, wait);
    entries.delete(asked);
    entries.set(asked, { refused: decision, at: now, until, holdsUntil: now + wait });
    if (entries.size > MOST_TERMS) entries.delete(firstOf(entries));
  }

  /** Forgets what this customer was refused, after something that may have made room for it. */
  forget(customer: string): void {
    this.#customers.delete(customer);
  }

  clear(): void {
    this.#customers.clear();
  }

  #makeRoom(): Map<string, Entry> {
    if (this.#customers.size >= MOST_CUSTOMERS) this.#customers.delete(firstOf(this.#customers));
    return new Map<string, Entry>();
  }

  #delete(customer: string, entries: Map<string, Entry>, asked: string): void {
    entries.delete(asked);
    if (entries.size === 0) this.#customers.delete(customer);
  }
}

const firstOf = (map: Map<string, unknown>): string => map.keys().next().value as string;

function aged(refused: Refused, ageMs: number): Refused {
  const limits = refused.limits.map((state) => ({
    ...state,
    resetAfterMs: state.resetAfterMs === undefined ? undefined : Math.max(0, state.resetAfterMs - ageMs),
  }));
  if (refused.retryAfterMs === undefined || refused.estimated) return { ...refused, limits };
  return { ...refused, limits, retryAfterMs: Math.max(0, refused.retryAfterMs - ageMs) };
}
