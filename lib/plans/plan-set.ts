import { ConfigError } from '../errors.js';
import { checkPlan, completePlan, type CheckedPlan, type Plan, type PlanKeys } from './plan.js';

/** What the plans of a set say themselves, by name. */
export type PlanSet = ReadonlyMap<string, PlanKeys>;

/**
 * Checks what each plan of a set says itself.
 *
 * @param input Plans by name, or the JSON text of them.
 * @throws {ConfigError}
 */
export function checkPlanSet(input: unknown): PlanSet {
  const plans = typeof input === 'string' ? parsed(input) : input;
  if (
    typeof plans !== 'object' ||
    plans === null ||
    Array.isArray(plans) ||
    Object.keys(plans).length === 0
  ) {
    throw new ConfigError(
      'CONFIG_INVALID_OPTION',
      'plans',
      'an object with at least one plan by its name',
      plans,
    );
  }
  return new Map(Object.entries(plans).map(([name, plan]) => [name, checkPlan(plan, pathOf(name))] as const));
}

/**
 * All plans of a set, each with what it has from those that it extends.
 *
 * @throws {ConfigError}
 */
export const completePlans = (set: PlanSet): CheckedPlan[] =>
  [...set].map(([name, keys]) => completePlan(name, withInherited(keys, pathOf(name), set), pathOf(name)));

/**
 * The keys of a plan, and those it has from the plans that it extends: of each key, the nearest one's as a whole.
 *
 * @throws {ConfigError} For a plan that there isn't, and one that extends itself in the end.
 */
export function withInherited(keys: PlanKeys, option: string, set: PlanSet): PlanKeys {
  const line = [keys];
  let path = `${option}.extends`;
  for (let name = keys.extends; name !== undefined; name = line.at(-1)!.extends) {
    const parent = set.get(name);
    if (parent === undefined) {
      const expected = `the name of another plan: ${[...set.keys()].join(', ')}`;
      throw new ConfigError('CONFIG_INVALID_OPTION', path, expected, name);
    }
    if (line.includes(parent)) {
      throw new ConfigError('CONFIG_INVALID_OPTION', path, 'a plan that does not extend this one', name);
    }
    line.push(parent);
    path = `${pathOf(name)}.extends`;
  }
  return Object.assign({}, ...line.reverse()) as PlanKeys;
}

const pathOf = (name: string): string => `plans.${name}`;

function parsed(text: string): unknown {
  try {
    return JSON.parse(text);
  } catch (error) {
    const expected = `an object of plans, or its JSON (${(error as Error).message})`;
    throw new ConfigError('CONFIG_INVALID_OPTION', 'plans', expected, text);
  }
}

/**
 * Checks a set of plans and returns it: for plans in a file of their own, so that a wrong one is found by its tests and at
 * its start. `jobLimits({ plans })` takes what it returns, and does the same checks.
 *
 * @param plans Plans by name, or the JSON text of them.
 * @throws {ConfigError} With the path of what is wrong, such as `plans.free.quotas[0].per`.
 *
 * @example
 * export const plans = definePlans({
 *   free: { creationRate: { limit: 250, window: '1m' }, quotas: { unit: 'jobs', limit: 10_000, per: 'month' } },
 *   pro: { extends: 'free', quotas: { unit: 'jobs', limit: 100_000, per: 'month' } },
 * });
 */
export function definePlans<Name extends string>(plans: Record<Name, Plan>): Record<Name, Plan>;
export function definePlans(json: string): Record<string, Plan>;
export function definePlans(plans: unknown): Record<string, Plan> {
  completePlans(checkPlanSet(plans));
  return (typeof plans === 'string' ? JSON.parse(plans) : plans) as Record<string, Plan>;
}
