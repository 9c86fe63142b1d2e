import type { Request } from 'express';
import { describe } from '../errors.js';
import { stateOfRequest } from '../http/request-state.js';
import { checkedCustomer } from '../jobs/job-ref.js';
import {
  checkOverride,
  describeOverride,
  overriddenPart,
  type CustomerOverride,
  type OtherKey,
  type OverrideOptions,
} from '../plans/override.js';
import type { CheckedPlan } from '../plans/plan.js';
import type { Plans } from '../plans/plans.js';
import type { Override } from '../stores/store.js';
import type { Context } from './context.js';

/** What `jobLimits()` returns for limits that hold for one customer instead of its plan's. */
export interface Overrides {
  /**
   * Sets what holds for this customer instead of its plan, in every process and within a second; it replaces the override
   * that there was. Parts of a limit that are left out are those of the customer's plan. `null` removes it. What runs is
   * never ended by it.
   *
   * @throws {ConfigError} For wrong values, and where the plan has nothing to fill in.
   * @throws {StoreError}
   *
   * @example
   * await limits.override('acme', { creationRate: { limit: 1000 }, reason: 'launch day', until: '12h' });
   */
  override: (customer: string, limits: OverrideOptions | null) => Promise<void>;
  /** The customer's override, or `null`. */
  overrideOf: (customer: string) => Promise<CustomerOverride | null>;
  /** All overrides that hold. */
  overrides: () => Promise<CustomerOverride[]>;
}

export function overridesOf(context: Context, plansFor: (what: string) => Plans): Overrides {
  const { store, clock } = context;
  return {
    async override(customer, limits) {
      const id = checkedCustomer(customer);
      const override =
        limits === null ? null : checkOverride(limits, await plansFor('override()').of(id), clock.wallNow());
      await store.setOverride(id, override);
      context.overrides.forget(id);
    },
    async overrideOf(customer) {
      const override = await store.override(checkedCustomer(customer));
      return override && describeOverride(customer, override);
    },
    async overrides() {
      const all = await store.overrides();
      return all.map(({ customer, override }) => describeOverride(customer, override));
    },
  };
}

/** What a customer's plan says for a middleware that no store counts for, or its override instead. */
export const partFor =
  <K extends OtherKey>(context: Context, plans: Plans, key: K) =>
  async (req: Request, customer: string): Promise<CheckedPlan[K]> => {
    const plan = await plans.of(customer);
    const override = await overrideFor(context, req, customer);
    if (!override) return plan[key];
    return overriddenPart(plan, key, override, (error) => {
      const message = `The override of ${describe(customer)} has a value that is ignored: ${String(error)}`;
      context.emit('warning', { code: 'OVERRIDE_INVALID', message });
    });
  };

/** The override that held when the request's job was admitted; without a job, the one of a second ago. */
async function overrideFor(
  context: Context,
  req: Request,
  customer: string,
): Promise<Override | null | undefined> {
  const { jobs } = stateOfRequest(req);
  const job = jobs.find(({ store, ref }) => store === context.store && ref.customer === customer);
  if (job !== undefined) return job.decision.override;
  try {
    return await context.overrides.get(customer);
  } catch (error) {
    // These limits need no store: without one, the plan's hold.
    context.emit('store-error', { operation: 'override', error });
    return null;
  }
}
