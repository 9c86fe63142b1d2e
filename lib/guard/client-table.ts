import { randomBytes } from 'node:crypto';
import type { ClientKey } from './client-key.js';

/** Where an entry stands when room is needed. The first three are lists, oldest first; pinned entries stay. */
export const standing = { idle: 0, refused: 1, banned: 2, pinned: 3 } as const;
export type Standing = (typeof standing)[keyof typeof standing];

const LISTS = 3;
const NONE = -1;

/** What the table asks of whoever keeps numbers by entry. */
export interface EntryKeeper {
  /** The entry has a new client now: whatever was kept for the former one is void. */
  clear(index: number): void;
  /** Nothing kept for this entry can matter any more at `now`. */
  isOver(index: number, now: number): boolean;
}

/**
 * Clients by key, in memory that is reserved once: a hash table of entry numbers (open addressing, linear probing) over
 * arrays of numbers. The whole key is kept, so that two clients never share an entry. When it is full the oldest idle
 * entry makes room, then the oldest refused, then the oldest banned one; pinned entries never do.
 */
export class ClientTable {
  readonly capacity: number;
  #size = 0;
  readonly #keeper: EntryKeeper;
  /** Entry number + 1, 0 where empty. At most two thirds are in use. */
  readonly #slots: Int32Array;
  readonly #mask: number;
  // Secret, so that nobody can choose addresses that all land in one place.
  readonly #seed: Int32Array = new Int32Array(new Uint8Array(randomBytes(8)).buffer);
  readonly #kind: Uint8Array;
  readonly #high: Uint32Array;
  readonly #low: Uint32Array;
  readonly #standing: Uint8Array;
  readonly #older: Int32Array;
  readonly #newer: Int32Array;
  readonly #oldest = new Int32Array(LISTS).fill(NONE);
  readonly #newest = new Int32Array(LISTS).fill(NONE);

  constructor(capacity: number, keeper: EntryKeeper) {
    this.capacity = capacity;
    this.#keeper = keeper;
    const slots = 2 ** Math.ceil(Math.log2(capacity * 1.5));
    this.#slots = new Int32Array(slots);
    this.#mask = slots - 1;
    this.#kind = new Uint8Array(capacity);
    this.#high = new Uint32Array(capacity);
    this.#low = new Uint32Array(capacity);
    this.#standing = new Uint8Array(capacity).fill(standing.pinned);
    this.#older = new Int32Array(capacity);
    this.#newer = new Int32Array(capacity);
  }

  /** How many clients are known now. */
  get size(): number {
    return this.#size;
  }

  /** Bytes reserved for keys, lists and the hash table. */
  get bytes(): number {
    return [this.#slots, this.#kind, this.#high, this.#low, this.#standing, this.#older, this.#newer].reduce(
      (sum, array) => sum + array.byteLength,
      0,
    );
  }

  /** The client's entry, or -1. */
  find(key: ClientKey): number {
    const slots = this.#slots;
    for (let slot = this.#home(key.kind, key.high, key.low); ; slot = (slot + 1) & this.#mask) {
      const index = slots[slot]! - 1;
      if (index < 0) return NONE;
      if (this.#low[index] === key.low && this.#high[index] === key.high && this.#kind[index] === key.kind)
        return index;
    }
  }

  /** The client's entry, made if need be; -1 when every entry is pinned. A new one is idle. */
  claim(key: ClientKey, now: number): number {
    const known = this.find(key);
    if (known >= 0) return known;
    const index = this.#size < this.capacity ? this.#size++ : this.#evict(now);
    if (index < 0) return NONE;
    this.#kind[index] = key.kind;
    this.#high[index] = key.high;
    this.#low[index] = key.low;
    let slot = this.#home(key.kind, key.high, key.low);
    while (this.#slots[slot] !== 0) slot = (slot + 1) & this.#mask;
    this.#slots[slot] = index + 1;
    this.#keeper.clear(index);
    this.#append(index, standing.idle);
    return index;
  }

  standingOf(index: number): Standing {
    return this.#standing[index] as Standing;
  }

  /** Puts the entry where it now belongs, as the newest there. */
  place(index: number, where: Standing): void {
    const list = this.#standing[index]!;
    if (list === where && (where === standing.pinned || this.#newest[where] === index)) return;
    if (list !== standing.pinned) this.#unlink(index, list);
    if (where === standing.pinned) this.#standing[index] = where;
    else this.#append(index, where);
  }

  /** The key of an entry below `size`. */
  keyOf(index: number): ClientKey {
    return { kind: this.#kind[index]!, high: this.#high[index]!, low: this.#low[index]! };
  }

  /** Removes the entry that is missed least and returns its number. */
  #evict(now: number): number {
    const refused = this.#oldest[standing.refused]!;
    const banned = this.#oldest[standing.banned]!;
    let index = this.#oldest[standing.idle]!;
    // Refusals that are over count for nothing, and left alone they would crowd out everyone else for good.
    if (banned >= 0 && this.#keeper.isOver(banned, now)) index = banned;
    else if (refused >= 0 && this.#keeper.isOver(refused, now)) index = refused;
    else if (index < 0) index = refused >= 0 ? refused : banned;
    if (index < 0) return NONE;
    this.#unlink(index, this.#standing[index]!);
    this.#removeFromSlots(index);
    return index;
  }

  /** Deletion by shifting back what follows, so that no tombstones pile up. */
  #removeFromSlots(index: number): void {
    const slots = this.#slots;
    const mask = this.#mask;
    let hole = this.#homeOf(index);
    while (slots[hole] !== index + 1) hole = (hole + 1) & mask;
    for (let slot = (hole + 1) & mask; slots[slot] !== 0; slot = (slot + 1) & mask) {
      const home = this.#homeOf(slots[slot]! - 1);
      if (((slot - home) & mask) >= ((slot - hole) & mask)) {
        slots[hole] = slots[slot]!;
        hole = slot;
      }
    }
    slots[hole] = 0;
  }

  #append(index: number, list: number): void {
    const last = this.#newest[list]!;
    this.#standing[index] = list;
    this.#older[index] = last;
    this.#newer[index] = NONE;
    if (last >= 0) this.#newer[last] = index;
    else this.#oldest[list] = index;
    this.#newest[list] = index;
  }

  #unlink(index: number, list: number): void {
    const older = this.#older[index]!;
    const newer = this.#newer[index]!;
    if (older >= 0) this.#newer[older] = newer;
    else this.#oldest[list] = newer;
    if (newer >= 0) this.#older[newer] = older;
    else this.#newest[list] = older;
  }

  #homeOf(index: number): number {
    return this.#home(this.#kind[index]!, this.#high[index]!, this.#low[index]!);
  }

  /** Where a key's search begins: two rounds of multiply and shift, with the secret between them. */
  #home(kind: number, high: number, low: number): number {
    let hash = Math.imul(high ^ this.#seed[0]!, 0x85ebca6b);
    hash = Math.imul(hash ^ (hash >>> 15) ^ low, 0xc2b2ae35);
    hash = Math.imul(hash ^ (hash >>> 13) ^ kind ^ this.#seed[1]!, 0x27d4eb2f);
    return (hash ^ (hash >>> 16)) & this.#mask;
  }
}
