import type { LimitState } from '../../decision.js';
import { limitState } from '../limit-state.js';
import { overriddenTerms } from '../override.js';
import { refusalOf, type Violation } from '../refusal.js';
import { amountOf, type AdmitRequest, type Decision, type Limit, type Override } from '../store.js';
import { decodeJob } from './encoding.js';
import { decodeOverride } from './overrides.js';

const effectiveLimits = (limits: readonly Limit[], override: Override | undefined): readonly Limit[] =>
  override === undefined ? limits : overriddenTerms({ limits }, override).limits;

const stateOf = (limit: Limit, used: number, resetMs: number): LimitState =>
  limitState(limit, used, resetMs < 0 ? undefined : resetMs);

const REPLAYED = 2;
/** In the place of a wait. */
const NOT_REFUSED = -1;

/** What admit.lua answered. */
export function decodeDecision({ ref, terms, amounts }: AdmitRequest, reply: unknown[]): Decision {
  const [code, , stored, fourth] = reply;
  const override = decodeOverride(String(stored));
  const known = override && { override };
  if (Number(code) === REPLAYED) {
    const job = decodeJob(ref.customer, fourth as unknown[]);
    return { allowed: true, replayed: true, limits: [], shadowed: [], job, run: String(reply[4]), ...known };
  }
  const limits = effectiveLimits(terms.limits, override);
  const at = (index: unknown): Limit => limits[Number(index) - 1]!;
  const shadowed =
    fourth === ''
      ? []
      : String(fourth)
          .split(',')
          .map((index) => at(index).name);
  const limitStates: LimitState[] = [];
  const violations: Violation[] = [];
  for (let i = 4; i < reply.length; i += 4) {
    const limit = at(reply[i]);
    const used = Number(reply[i + 1]);
    const wait = Number(reply[i + 3]);
    limitStates.push(stateOf(limit, used, Number(reply[i + 2])));
    if (wait === NOT_REFUSED) continue;
    violations.push({
      limit,
      used,
      amount: amountOf(limit, amounts),
      retryAfterMs: wait < 0 ? undefined : wait,
      estimated: limit.kind === 'concurrency' && limit.limit > 0,
    });
  }
  const more = { limits: limitStates, shadowed, ...known };
  if (violations.length === 0) return { allowed: true, replayed: false, ...more };
  return { ...refusalOf(violations), ...more };
}

/** What usage.lua answered of the limits. */
export function decodeStates(
  asked: readonly Limit[],
  override: Override | undefined,
  rows: unknown[],
): LimitState[] {
  const limits = effectiveLimits(asked, override);
  const decoded: LimitState[] = [];
  for (let i = 0; i < rows.length; i += 3) {
    decoded.push(stateOf(limits[Number(rows[i]) - 1]!, Number(rows[i + 1]), Number(rows[i + 2])));
  }
  return decoded;
}
