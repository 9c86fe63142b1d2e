import type { LimitStore, Override } from '../store.js';
import { decodeLimit, encodeLimits } from './encoding.js';
import type { Keys } from './keys.js';
import * as scripts from './scripts.js';
import type { Script } from './scripts.js';

interface Runs {
  readonly keys: Keys;
  run(script: Script, keys: string[], args: string[]): Promise<unknown>;
}

/** An override as set-override.lua stored it; `undefined` where there is none. */
export function decodeOverride(stored: string): Override | undefined {
  if (stored === '') return undefined;
  const [head, json, rest] = stored.split('\n') as [string, string, string];
  const [, setAt, expiresAt] = head.split(' ');
  const { limits, ...more } = JSON.parse(json) as { limits: Parameters<typeof decodeLimit>[0][] };
  return {
    limits: limits.map(decodeLimit),
    ...more,
    ...(JSON.parse(rest) as Partial<Override>),
    ...(expiresAt !== '' && { expiresAt: Number(expiresAt) }),
    setAt: Number(setAt),
  };
}

/** What holds for customers instead of their plans: one hash a shard. */
export class Overrides {
  constructor(private readonly runs: Runs) {}

  async set(customer: string, override: Override | null): Promise<void> {
    const keys = this.runs.keys.ofCustomer(customer);
    let args = ['', '', '', ''];
    if (override !== null) {
      const { limits, mode, expiresAt, reason, author, others } = override;
      const { ref, json } = encodeLimits(limits, mode && { mode });
      args = [ref, json, String(expiresAt ?? ''), JSON.stringify({ reason, author, others })];
    }
    await this.runs.run(scripts.setOverride, [keys.overrides, keys.book], [customer, ...args]);
  }

  async get(customer: string): Promise<Override | null> {
    const { overrides } = this.runs.keys.ofCustomer(customer);
    const [, stored = ''] = (await this.runs.run(scripts.override, [overrides], [customer])) as string[];
    return decodeOverride(stored) ?? null;
  }

  async all(): ReturnType<LimitStore['overrides']> {
    const { keys } = this.runs;
    const replies = await Promise.all(
      Array.from({ length: keys.shards }, (_, shard) =>
        this.runs.run(scripts.override, [keys.overridesOf(shard)], []),
      ),
    );
    return (replies as string[][]).flatMap((entries) => {
      const found: { customer: string; override: Override }[] = [];
      for (let i = 0; i < entries.length; i += 2) {
        found.push({ customer: entries[i]!, override: decodeOverride(entries[i + 1]!)! });
      }
      return found;
    });
  }
}
