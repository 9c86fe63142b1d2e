import { defaultStore } from '../stores/default-store.js';
import type { Limit, LimitStore } from '../stores/store.js';
import { contextOf, type Context, type Emit } from './context.js';
import type { Plans } from '../plans/plans.js';

const silent: Emit = () => undefined;

/** The context of a middleware that is used alone. */
export const standaloneContext = (options: Parameters<typeof contextOf>[0], plans?: Plans): Context =>
  contextOf(options, options.store ?? defaultStore(), silent, plans);

const WARNED = 'warned';
const namesOf = new WeakMap<LimitStore, Map<string, string>>();

/**
 * Warns, once a name, when two middlewares, or one and a plan, give one counter of a store different numbers: they then
 * count together, which is seldom meant. It is no error, since a new release may well change a number.
 */
export function noteLimit({ store, plans }: Context, limit: Limit): void {
  const names = namesOf.get(store) ?? new Map<string, string>();
  namesOf.set(store, names);
  const numbers = JSON.stringify(limit);
  const planned = plans?.limitsNamed(limit.name).map((other) => JSON.stringify(other));
  const known = names.get(limit.name) ?? planned?.find((other) => other !== numbers);
  if (!names.has(limit.name)) names.set(limit.name, numbers);
  if (known === undefined || known === numbers || known === WARNED) return;
  names.set(limit.name, WARNED);
  process.emitWarning(
    `Two limits named '${limit.name}' on one store have different numbers (${known} and ${numbers}). ` +
      `They share one counter; give one of them another name to have two.`,
    { code: 'LIMIT_NAME_REUSED' },
  );
}
