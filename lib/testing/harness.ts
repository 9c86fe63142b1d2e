import type {
  AdmitRequest,
  ConcurrencyLimit,
  Decision,
  Limit,
  LimitStore,
  RateLimit,
  Terms,
} from '../stores/store.js';

/** One store under test, and the hand on its clock. */
export interface StoreHarness {
  store: LimitStore;
  /**
   * Moves the store's time on by that many milliseconds. A store whose clock can't be moved waits; a second of inexactness
   * is allowed for.
   */
  advance: (ms: number) => Promise<void> | void;
  /** Called after each test: closes what `make` opened. */
  dispose?: () => Promise<void> | void;
}

export interface ContractOptions {
  /** Makes a fresh, empty store. Called for each test. */
  make: () => Promise<StoreHarness> | StoreHarness;
  /** The test framework's functions. @default the globals of Jest, Vitest and Mocha */
  describe?: (name: string, body: () => void) => void;
  it?: (name: string, body: () => Promise<void>) => void;
}

/** What each part of the contract is given. */
export interface Suite {
  describe: (name: string, body: () => void) => void;
  /** A test with a store of its own. */
  test: (name: string, body: (harness: StoreHarness) => Promise<void>) => void;
}

export const SECOND = 1_000;
export const MINUTE = 60 * SECOND;
export const HOUR = 60 * MINUTE;

export const rate = (limit: number, windowMs: number, more: Partial<RateLimit> = {}): RateLimit => ({
  kind: 'creation-rate',
  name: 'creation-rate',
  limit,
  windowMs,
  mode: 'enforce',
  ...more,
});

export const slots = (limit: number, more: Partial<ConcurrencyLimit> = {}): ConcurrencyLimit => ({
  kind: 'concurrency',
  name: 'concurrency',
  limit,
  maxRunMs: 8 * HOUR,
  mode: 'enforce',
  ...more,
});

export const termsOf = (...limits: Limit[]): Terms => ({ limits, pendingMs: MINUTE, rememberMs: 24 * HOUR });

let made = 0;

/** A request for a new job, or for the given one, by a run of its own. */
export function request(
  terms: Terms,
  customer = 'acme',
  id = `job-${(made += 1)}`,
  run = `run-of-${id}`,
): AdmitRequest {
  return { ref: { customer, id }, run, terms };
}

/** Admits that many new jobs one after another and returns the decisions. */
export async function admitMany(
  store: LimitStore,
  terms: Terms,
  times: number,
  customer = 'acme',
): Promise<Decision[]> {
  const decisions: Decision[] = [];
  for (let i = 0; i < times; i += 1) decisions.push(await store.admit(request(terms, customer)));
  return decisions;
}

export const allowedOf = (decisions: Decision[]): number => decisions.filter(({ allowed }) => allowed).length;

/** How much of each limit is in use, by name. */
export async function usedOf(
  store: LimitStore,
  terms: Terms,
  customer = 'acme',
): Promise<Record<string, number>> {
  const { limits } = await store.usage(customer, terms.limits);
  return Object.fromEntries(limits.map(({ name, used }) => [name, used]));
}
