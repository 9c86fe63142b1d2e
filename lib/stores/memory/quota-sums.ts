interface Sum {
  start: number;
  used: number;
  /** When it may be forgotten, as a date. */
  until: number;
}

/**
 * How much one quota of a customer was charged, by the period that it belongs to. It is itself the sum of the period that
 * was begun last, where nearly all is found: an admission pays for every reference that it follows.
 */
export class QuotaSums implements Sum {
  used = 0;
  until = -Infinity;
  /** Those of earlier periods; of later ones only where a clock was put back. */
  #others: Sum[] | undefined;

  constructor(
    readonly counter: string,
    public start: number,
  ) {}

  usedIn(start: number): number {
    return this.#find(start)?.used ?? 0;
  }

  /** @param until When the sum may be forgotten, unless another charge keeps it for longer. */
  add(start: number, amount: number, until: number): void {
    const sum = this.#find(start) ?? this.#begin(start);
    sum.used += amount;
    if (until > sum.until) sum.until = until;
  }

  /** Corrects the period's sum. `false` when it is forgotten. */
  correct(start: number, by: number): boolean {
    const sum = this.#find(start);
    if (sum === undefined) return false;
    sum.used = Math.max(0, sum.used + by);
    return true;
  }

  /** Forgets sums whose time is over, and those of what is stored no more. `true` when nothing is left. */
  isIdle(date: number): boolean {
    const isOver = (sum: Sum) => sum.until <= date || (sum.until === Infinity && sum.used === 0);
    const others = this.#others?.filter((sum) => !isOver(sum));
    this.#others = others?.length === 0 ? undefined : others;
    return this.#others === undefined && isOver(this);
  }

  #begin(start: number): Sum {
    (this.#others ??= []).push({ start: this.start, used: this.used, until: this.until });
    this.start = start;
    this.used = 0;
    this.until = -Infinity;
    return this;
  }

  #find(start: number): Sum | undefined {
    return this.start === start ? this : this.#others?.find((sum) => sum.start === start);
  }
}
