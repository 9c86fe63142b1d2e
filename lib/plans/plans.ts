import type { Clock } from '../clock.js';
import { ConfigError, RequestError } from '../errors.js';
import { checkPlan, termsOfPlan, type CheckedPlan, type Plan } from './plan.js';
import type { Terms } from '../stores/store.js';

/** Says which plan a customer has: its name, or the plan itself. */
export type PlanOf = (customer: string) => string | Plan | Promise<string | Plan>;

/** A checked plan, with the terms that its jobs are admitted on. */
export interface ResolvedPlan extends CheckedPlan {
  terms: Terms;
}

interface Lookup {
  /** A promise while it is under way, and never one that failed. */
  plan: ResolvedPlan | Promise<ResolvedPlan>;
  until: number;
}

const LOOKUP_MS = 60_000;
/** Customers whose plan is kept; the one looked up longest ago makes room. */
const MOST_LOOKUPS = 10_000;

/** The plans there are, and which customer has which: looked up once per customer and minute, by one call at a time. */
export class Plans {
  #plans = new Map<string, ResolvedPlan>();
  readonly #lookups = new Map<string, Lookup>();
  /** Plans given as objects rather than names, checked once each. */
  #inline = new WeakMap<object, ResolvedPlan>();

  constructor(
    plans: unknown,
    private readonly planOf: PlanOf | undefined,
    private readonly clock: Clock,
    private readonly pendingMs: number,
  ) {
    this.set(plans);
  }

  /**
   * Replaces all plans at once, for all customers. When one is wrong the old ones stay.
   *
   * @throws {ConfigError}
   */
  set(plans: unknown): void {
    if (plans === undefined && this.planOf !== undefined) return;
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
    const checked = new Map<string, ResolvedPlan>();
    for (const [name, plan] of Object.entries(plans)) {
      checked.set(name, this.#resolve(checkPlan(name, plan, `plans.${name}`)));
    }
    if (this.planOf === undefined && checked.size > 1) {
      throw new ConfigError(
        'CONFIG_MISSING_OPTION',
        'plan',
        'a function that says which of the plans a customer has',
        undefined,
      );
    }
    this.#plans = checked;
    this.#inline = new WeakMap();
    this.#lookups.clear();
  }

  /**
   * The customer's plan.
   *
   * @throws {RequestError} `PLAN_UNKNOWN`, `PLAN_INVALID`, `PLAN_FAILED`
   */
  of(customer: string): ResolvedPlan | Promise<ResolvedPlan> {
    if (this.planOf === undefined) return this.#plans.values().next().value as ResolvedPlan;
    const known = this.#lookups.get(customer);
    const now = this.clock.now();
    if (known !== undefined && known.until > now) return known.plan;
    const lookup: Lookup = { plan: this.#lookUp(customer, this.planOf), until: now + LOOKUP_MS };
    this.#keep(customer, lookup);
    return lookup.plan;
  }

  #keep(customer: string, lookup: Lookup): void {
    this.#lookups.delete(customer);
    if (this.#lookups.size >= MOST_LOOKUPS) {
      this.#lookups.delete(this.#lookups.keys().next().value as string);
    }
    this.#lookups.set(customer, lookup);
    Promise.resolve(lookup.plan).then(
      (plan) => (lookup.plan = plan),
      () => {
        if (this.#lookups.get(customer) === lookup) this.#lookups.delete(customer);
      },
    );
  }

  /** Forgets which customer has which plan; they are looked up anew. */
  forget(): void {
    this.#lookups.clear();
  }

  async #lookUp(customer: string, planOf: PlanOf): Promise<ResolvedPlan> {
    let found: string | Plan;
    try {
      found = await planOf(customer);
    } catch (cause) {
      throw new RequestError('PLAN_FAILED', 500, `plan(customer) failed: ${String(cause)}`, { cause });
    }
    if (typeof found !== 'string') return this.#inlinePlan(found);
    const plan = this.#plans.get(found);
    if (plan !== undefined) return plan;
    const known = [...this.#plans.keys()].join(', ') || 'none';
    throw new RequestError(
      'PLAN_UNKNOWN',
      500,
      `plan(customer) returned '${found}'; the plans are: ${known}`,
    );
  }

  #inlinePlan(plan: Plan): ResolvedPlan {
    const known = typeof plan === 'object' && plan !== null ? this.#inline.get(plan) : undefined;
    if (known !== undefined) return known;
    try {
      const resolved = this.#resolve(checkPlan(undefined, plan, 'plan(customer)'));
      this.#inline.set(plan, resolved);
      return resolved;
    } catch (cause) {
      throw new RequestError('PLAN_INVALID', 500, `plan(customer) returned a plan that is wrong`, { cause });
    }
  }

  #resolve(plan: CheckedPlan): ResolvedPlan {
    return { ...plan, terms: termsOfPlan(plan, this.pendingMs) };
  }
}
