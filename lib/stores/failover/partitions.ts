import type { Clock } from '../../clock.js';
import type { LimitStore, Terms } from '../store.js';
import { Breaker } from './breaker.js';

/** A store of several nodes that fail apart. */
export interface PartitionedStore {
  /** Names the node that keeps this customer now. */
  partitionOf(customer: string): string;
}

const isPartitioned = (store: object): store is PartitionedStore => 'partitionOf' in store;

interface PartitionEvents {
  timeoutMs: number;
  clock: Clock;
  failed: (operation: string, error: unknown) => void;
  answered: (operation: string, durationMs: number) => void;
  out: (partition: string) => void;
  returns: (partition: string) => Promise<void>;
  returned: (partition: string) => void;
}

/** How many names are tried to find one that a partition keeps. A Cluster has at most a thousand nodes. */
const MOST_NAMES = 10_000;
const probeTerms: Terms = { limits: [], pendingMs: 1_000, rememberMs: 0 };

let probes = 0;

/** One breaker for each node that fails apart, so that one node of a Cluster takes only its own customers with it. */
export class Partitions {
  readonly #breakers = new Map<string, Breaker>();

  constructor(
    private readonly store: LimitStore,
    private readonly events: PartitionEvents,
  ) {}

  nameOf(customer: string): string {
    return isPartitioned(this.store) ? this.store.partitionOf(customer) : '';
  }

  of(customer: string): Breaker {
    const name = this.nameOf(customer);
    let breaker = this.#breakers.get(name);
    if (breaker === undefined) this.#breakers.set(name, (breaker = this.#make(name)));
    return breaker;
  }

  close(): void {
    for (const breaker of this.#breakers.values()) breaker.close();
    this.#breakers.clear();
  }

  #make(name: string): Breaker {
    const { timeoutMs, clock, failed, answered, out, returns, returned } = this.events;
    return new Breaker({
      timeoutMs,
      clock,
      failed,
      answered,
      probe: () => this.#probe(name),
      out: () => out(name),
      returns: () => returns(name),
      returned: () => {
        // A node's name may never come back; a new breaker is made where it does.
        this.#breakers.delete(name);
        returned(name);
      },
    });
  }

  /** Admits and refunds a job of nobody's, which writes. */
  async #probe(partition: string): Promise<void> {
    const customer = this.#customerOf(partition);
    // The node left the Cluster: what it had is with others, which have breakers of their own.
    if (customer === undefined) return;
    const id = `probe-${process.pid}-${(probes += 1)}`;
    await this.store.admit({ ref: { customer, id }, run: id, terms: probeTerms });
    await this.store.refund({ customer, id }, id);
  }

  #customerOf(partition: string): string | undefined {
    for (let i = 0; i < MOST_NAMES; i += 1) {
      const customer = `express-job-limits:probe:${i}`;
      if (this.nameOf(customer) === partition) return customer;
    }
    return undefined;
  }
}
