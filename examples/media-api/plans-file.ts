import { readFileSync } from 'node:fs';
import type { Plan } from 'express-job-limits';

/** What a PLANS file holds. */
export interface PlansFile {
  /** The plans by name; `jobLimits` checks what is in them. */
  plans: Record<string, Plan>;
  /** The name of each customer's plan. */
  customers: Record<string, string>;
  /** The plan of customers that are not listed. Without it they are not let in. */
  default?: string;
}

const keys = ['plans', 'customers', 'default'];

/** Reads a PLANS file and checks that the names in it fit together. What is wrong is said with the file's name. */
export function readPlansFile(path: string): PlansFile {
  try {
    return checked(JSON.parse(readFileSync(path, 'utf8')) as unknown);
  } catch (error) {
    throw new Error(`${path}: ${(error as Error).message}`, { cause: error });
  }
}

const isObject = (value: unknown): value is Record<string, unknown> =>
  typeof value === 'object' && value !== null && !Array.isArray(value);

function checked(file: unknown): PlansFile {
  if (!isObject(file)) throw new Error('expected an object with plans, customers and default');
  const unknown = Object.keys(file).find((key) => !keys.includes(key));
  if (unknown !== undefined) throw new Error(`'${unknown}' is none of ${keys.join(', ')}`);
  const { plans, customers = {}, default: fallback } = file;
  if (!isObject(plans)) throw new Error('`plans` must be an object with the plans by name');
  if (!isObject(customers)) throw new Error('`customers` must be an object with the name of each one’s plan');
  const named = Object.entries(fallback === undefined ? customers : { ...customers, default: fallback });
  for (const [who, plan] of named) {
    if (typeof plan !== 'string' || !Object.hasOwn(plans, plan)) {
      throw new Error(`${who} has the plan ${JSON.stringify(plan)}, which is none of the plans`);
    }
  }
  return { ...file, customers } as unknown as PlansFile;
}

/**
 * What the jobs of this API are made of, and what becomes of them: without these no form would be parsed, no URL looked for,
 * and nothing that jobs leave behind ever deleted.
 */
const everyPlan: Plan = {
  fileSize: { maxFile: '1gb' },
  urlCount: {},
  jobRetention: { results: '24h', metadata: '90d' },
};

/** The plans for `jobLimits`, which checks them. */
export function plansOf({ plans }: PlansFile): Record<string, Plan> {
  const entries = Object.entries(plans);
  // One that extends another has them from there.
  const isComplete = (plan: Plan): boolean => !isObject(plan) || plan.extends !== undefined;
  return Object.fromEntries(
    entries.map(([name, plan]) => [name, isComplete(plan) ? plan : { ...everyPlan, ...plan }]),
  );
}

/** The plan that a customer has, or `undefined` for one that is not let in. */
export function planOf(file: PlansFile, customer: string): string | undefined {
  return Object.hasOwn(file.customers, customer) ? file.customers[customer] : file.default;
}
