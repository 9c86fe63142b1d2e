interface Entry<T> {
  at: number;
  item: T;
}

/**
 * What is to be looked at, and when: a binary heap. An item is taken out by forgetting it elsewhere: `holds` says whether
 * an entry still means anything, and entries that don't are dropped when they come up or have become the majority.
 */
export class DueQueue<T> {
  #heap: Entry<T>[] = [];
  #compactAt = 1_024;

  constructor(private readonly holds: (item: T, at: number) => boolean) {}

  /** The earliest time that something is due at. */
  get next(): number {
    this.tidy();
    return this.#heap[0]?.at ?? Infinity;
  }

  /** Drops entries that come next and mean nothing any more. */
  tidy(): void {
    for (let [first] = this.#heap; first && !this.holds(first.item, first.at); [first] = this.#heap)
      this.#pop();
  }

  add(item: T, at: number): void {
    if (at === Infinity) return;
    if (this.#heap.length >= this.#compactAt) this.#compact();
    this.#heap.push({ at, item });
    this.#rise(this.#heap.length - 1);
  }

  /** Takes out the next item that is due. */
  take(now: number): T | undefined {
    return this.next <= now ? this.#pop().item : undefined;
  }

  clear(): void {
    this.#heap = [];
  }

  #compact(): void {
    this.#heap = this.#heap.filter(({ item, at }) => this.holds(item, at)).sort((a, b) => a.at - b.at);
    this.#compactAt = Math.max(1_024, 2 * this.#heap.length);
  }

  #pop(): Entry<T> {
    const first = this.#heap[0]!;
    const last = this.#heap.pop()!;
    if (this.#heap.length > 0) {
      this.#heap[0] = last;
      this.#sink();
    }
    return first;
  }

  #rise(index: number): void {
    while (index > 0) {
      const parent = (index - 1) >> 1;
      if (this.#heap[parent]!.at <= this.#heap[index]!.at) return;
      this.#swap(parent, index);
      index = parent;
    }
  }

  #sink(): void {
    let index = 0;
    for (;;) {
      const left = 2 * index + 1;
      let least = index;
      for (const child of [left, left + 1]) {
        if (child < this.#heap.length && this.#heap[child]!.at < this.#heap[least]!.at) least = child;
      }
      if (least === index) return;
      this.#swap(least, index);
      index = least;
    }
  }

  #swap(a: number, b: number): void {
    [this.#heap[a], this.#heap[b]] = [this.#heap[b]!, this.#heap[a]!];
  }
}
