import { counterOf, type Limit } from '../store.js';

/** How the keys are made and what they hold; raised when data of one version can't be read by the other. */
export const SCHEMA = 2;
export const HASH_SLOTS = 16_384;

/**
 * The keys under one prefix. All keys of a customer carry the hash tag of its shard, so that one script may touch them in
 * a Redis Cluster, and so that whoever has to look through all customers has `shards` places to look.
 */
export class Keys {
  constructor(
    readonly prefix: string,
    readonly shards: number,
  ) {}

  /** Says how data is laid out under the prefix. */
  get layout(): string {
    return `{${this.prefix}}:layout`;
  }

  /** A glob pattern for the keys of all customers. */
  get pattern(): string {
    return `{${this.prefix.replace(/[\\*?[\]^]/g, '\\$&')}:s*`;
  }

  ofCustomer(customer: string): CustomerKeys {
    return new CustomerKeys(this.#tagOf(crc16(customer) % this.shards), customer);
  }

  /** When each customer of the shard is to be looked at. */
  dueOf(shard: number): string {
    return `${this.#tagOf(shard)}due`;
  }

  overridesOf(shard: number): string {
    return `${this.#tagOf(shard)}overrides`;
  }

  /** The Redis Cluster hash slot of the customer's keys. */
  slotOf(customer: string): number {
    return crc16(`${this.prefix}:s${crc16(customer) % this.shards}`) % HASH_SLOTS;
  }

  #tagOf(shard: number): string {
    return `{${this.prefix}:s${shard}}:`;
  }
}

export class CustomerKeys {
  constructor(
    private readonly tag: string,
    private readonly customer: string,
  ) {}

  get book(): string {
    return `${this.tag}c:${this.customer}`;
  }

  /** The jobs that hold no lease. */
  get records(): string {
    return `${this.tag}k:${this.customer}`;
  }

  /** When each of these is to be looked at. */
  get schedule(): string {
    return `${this.tag}x:${this.customer}`;
  }

  /** When each customer of the shard is to be looked at. Scripts rely on how this name and that of the book differ. */
  get due(): string {
    return `${this.tag}due`;
  }

  /** What the scripts that work on jobs take first. */
  get all(): string[] {
    return [this.book, this.records, this.schedule, this.due];
  }

  /** Of all customers of the shard. */
  get overrides(): string {
    return `${this.tag}overrides`;
  }

  /** The log of each creation rate and the log of its refunds, in the order of the limits. */
  logs(limits: readonly Limit[]): string[] {
    return limits
      .filter(({ kind }) => kind === 'creation-rate')
      .map((limit) => this.#named(counterOf(limit)))
      .flatMap((name) => [`${this.tag}r:${name}`, `${this.tag}f:${name}`]);
  }

  /** The length keeps customer `a:b` with counter `c` apart from customer `a` with counter `b:c`. */
  #named(name: string): string {
    return `${this.customer.length}:${this.customer}:${name}`;
  }
}

const table = Uint16Array.from({ length: 256 }, (_, byte) => {
  let crc = byte << 8;
  for (let bit = 0; bit < 8; bit += 1) crc = crc & 0x8000 ? (crc << 1) ^ 0x1021 : crc << 1;
  return crc;
});

/** CRC16 as Redis Cluster hashes keys by (CCITT, XMODEM). */
export function crc16(text: string): number {
  let crc = 0;
  for (const byte of Buffer.from(text)) crc = ((crc << 8) ^ table[((crc >> 8) ^ byte) & 0xff]!) & 0xffff;
  return crc;
}
