import type { Clock } from '../clock.js';
import { ConfigError, RequestError } from '../errors.js';
import type { Limit, Terms } from '../stores/store.js';
import { Lookups } from './lookups.js';
import { checkPlan, completePlan, type CheckedPlan, type Plan } from './plan.js';
import { checkPlanSet, completePlans, withInherited, type PlanSet } from './plan-set.js';
import { termsOfPlan } from './terms.js';

/** Says which plan a customer has: its name, or the plan itself. */
export type PlanOf = (customer: string) => string | Plan | Promise<string | Plan>;

/** A checked plan, with the terms that its jobs are admitted on. */
export interface ResolvedPlan extends CheckedPlan {
  terms: Terms;
}

const FRESH_MS = 60_000;
/** How long the last known plan goes on when looking it up fails. */
const STALE_MS = 3_600_000;

/** Told when a customer's last known plan goes on because looking it up failed. */
export type OnStale = (customer: string, error: unknown) => void;

/** The plans there are, and which customer has which: looked up once per customer and minute, by one call at a time. */
export class Plans {
  #set: PlanSet = new Map();
  #plans = new Map<string, ResolvedPlan>();
  /** Plans given as objects rather than names, checked once each. */
  #inline = new WeakMap<object, ResolvedPlan>();
  /** What `plan(customer)` said. */
  readonly #said: Lookups<string | Plan>;

  /** @param plans Plans by name, or the JSON text of them. */
  constructor(
    plans: unknown,
    private readonly planOf: PlanOf | undefined,
    clock: Clock,
    private readonly pendingMs: number,
    onStale: OnStale = () => undefined,
  ) {
    this.#said = new Lookups({
      find: (customer) => this.#ask(customer),
      clock,
      freshMs: FRESH_MS,
      staleMs: STALE_MS,
      onStale,
    });
    this.set(plans);
  }

  /**
   * Replaces all plans at once, for all customers. When one is wrong the old ones stay.
   *
   * @throws {ConfigError}
   */
  set(plans: unknown): void {
    if (plans === undefined && this.planOf !== undefined) return;
    const set = checkPlanSet(plans);
    const complete = completePlans(set);
    if (this.planOf === undefined && complete.length > 1) {
      throw new ConfigError(
        'CONFIG_MISSING_OPTION',
        'plan',
        'a function that says which of the plans a customer has',
        undefined,
      );
    }
    this.#set = set;
    this.#plans = new Map(complete.map((plan) => [plan.name!, this.#resolve(plan)]));
    this.#inline = new WeakMap();
    this.#said.expire();
  }

  /**
   * The customer's plan.
   *
   * @throws {RequestError} `PLAN_UNKNOWN`, `PLAN_INVALID`, `PLAN_FAILED`
   */
  of(customer: string): ResolvedPlan | Promise<ResolvedPlan> {
    if (this.planOf === undefined) return this.#plans.values().next().value as ResolvedPlan;
    const said = this.#said.get(customer);
    return said instanceof Promise
      ? said.then((found) => this.#planOrForget(customer, found))
      : this.#planOrForget(customer, said);
  }

  /** The limits of that name, of all plans that have one. */
  limitsNamed(wanted: string): Limit[] {
    return [...this.#plans.values()].flatMap(({ limits }) => limits.filter(({ name }) => name === wanted));
  }

  /** Forgets which customer has which plan; they are looked up anew. */
  forget(): void {
    this.#said.forget();
  }

  async #ask(customer: string): Promise<string | Plan> {
    try {
      return await this.planOf!(customer);
    } catch (cause) {
      throw new RequestError('PLAN_FAILED', 500, `plan(customer) failed: ${String(cause)}`, { cause });
    }
  }

  /** A wrong answer is not kept: it may be put right any moment. */
  #planOrForget(customer: string, found: string | Plan): ResolvedPlan {
    try {
      return this.#planIn(found);
    } catch (error) {
      this.#said.forget(customer);
      throw error;
    }
  }

  #planIn(found: string | Plan): ResolvedPlan {
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
    const path = 'plan(customer)';
    try {
      const keys = withInherited(checkPlan(plan, path), path, this.#set);
      const resolved = this.#resolve(completePlan(undefined, keys, path));
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
