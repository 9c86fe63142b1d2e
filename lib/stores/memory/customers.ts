import type { Clock } from '../../clock.js';
import { StoreError } from '../../errors.js';
import type { StoreEvent } from '../store.js';
import { Customer, type Ledger } from './customer.js';
import { DueJobs } from './due-jobs.js';

const HOUSEKEEPING_MS = 10_000;
const CUSTOMERS_PER_TURN = 5_000;
/** How long a store found full of busy customers is taken for full without looking again. */
const FULL_MS = 1_000;
/** Jobs left alone for so long are told of, so often. */
const UNSWEPT_AFTER_MS = 24 * 3_600_000;
const UNSWEPT_EVERY_MS = 3_600_000;

/** All customers of a MemoryStore within its bounds. An idle customer costs nothing: it is forgotten. */
export class Customers {
  readonly #customers = new Map<string, Customer>();
  readonly #ledger: Ledger;
  #stopHousekeeping: (() => void) | undefined;
  /** Where the next turn of housekeeping goes on. */
  #turn: MapIterator<Customer> | undefined;
  #fullUntil = -Infinity;
  readonly due = new DueJobs();
  #unsweptToldAt = -Infinity;

  constructor(
    readonly bounds: { maxJobs: number; maxCustomers: number },
    readonly clock: Clock,
    emit: (event: StoreEvent) => void,
  ) {
    this.#ledger = { jobs: 0, emit, wallNow: () => clock.wallNow(), due: this.due };
  }

  /** The customer, brought up to now. One that nothing is known of is kept only if `keep` says so. */
  get(id: string, now: number, keep: boolean): Customer {
    let customer = this.#customers.get(id);
    if (customer === undefined) {
      customer = new Customer(id, this.#ledger);
      if (keep) this.#add(customer, now);
    } else {
      customer.settle(now);
    }
    return customer;
  }

  /**
   * Makes room for one more job. Forgets remembered jobs of the customer that has the most of them, many at once so that
   * it is rarely done.
   *
   * @throws {StoreError} `STORE_FULL` when all jobs are running.
   */
  makeRoomForJob(): void {
    const { maxJobs } = this.bounds;
    if (this.#ledger.jobs < maxJobs) return;
    let largest: Customer | undefined;
    let most = 0;
    for (const customer of this.#customers.values()) {
      const { forgettable } = customer;
      if (forgettable > most) [largest, most] = [customer, forgettable];
    }
    if (largest === undefined) {
      throw new StoreError(
        'STORE_FULL',
        `All ${maxJobs} jobs that MemoryStore may keep (maxJobs) are running, or their results are kept`,
      );
    }
    const count = largest.forgetOldest(Math.ceil(maxJobs / 100));
    this.#ledger.emit({ type: 'records-dropped', count, reason: `maxJobs (${maxJobs}) was reached` });
  }

  all(): Iterable<Customer> {
    return this.#customers.values();
  }

  clear(): void {
    this.#customers.clear();
    this.due.clear();
    this.#ledger.jobs = 0;
    this.#turn = undefined;
    this.#fullUntil = -Infinity;
    this.#rest();
  }

  #add(customer: Customer, now: number): void {
    const { maxCustomers } = this.bounds;
    if (this.#customers.size >= maxCustomers && now >= this.#fullUntil) {
      this.#tidy(now, this.#customers.values(), Infinity);
    }
    if (this.#customers.size >= maxCustomers) {
      this.#fullUntil = now >= this.#fullUntil ? now + FULL_MS : this.#fullUntil;
      throw new StoreError(
        'STORE_FULL',
        `All ${maxCustomers} customers that MemoryStore may keep (maxCustomers) are busy`,
      );
    }
    this.#customers.set(customer.id, customer);
    this.#stopHousekeeping ??= this.clock.every(HOUSEKEEPING_MS, this.housekeep);
  }

  /** Settles the next few thousand customers, so that leases of idle ones are freed, and forgets the idle ones. */
  readonly housekeep = (): void => {
    this.#tellUnswept();
    this.#turn ??= this.#customers.values();
    const done = this.#tidy(Math.floor(this.clock.now()), this.#turn, CUSTOMERS_PER_TURN);
    if (done) this.#turn = undefined;
    this.due.tidy();
    if (this.#customers.size === 0) this.#rest();
  };

  /** Settles the next `most` customers and forgets the idle ones. `true` at the end of the round. */
  #tidy(now: number, customers: MapIterator<Customer>, most: number): boolean {
    for (let i = 0; i < most; i += 1) {
      const { value: customer } = customers.next();
      if (customer === undefined) return true;
      customer.settle(now);
      if (customer.isIdle(now)) this.#customers.delete(customer.id);
    }
    return false;
  }

  #tellUnswept(): void {
    const [since, date] = [this.due.dueSince, this.clock.wallNow()];
    if (since > date - UNSWEPT_AFTER_MS || date < this.#unsweptToldAt + UNSWEPT_EVERY_MS) return;
    this.#unsweptToldAt = date;
    this.#ledger.emit({ type: 'unswept', since });
  }

  #rest(): void {
    this.#stopHousekeeping?.();
    this.#stopHousekeeping = undefined;
  }
}
