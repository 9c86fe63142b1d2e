interface Sum {
  start: number;
  used: number;
  /** When it may be forgotten, as a date. */
  until: number;
}

/** How much one quota of a customer was charged, by the period that it belongs to. */
export class QuotaSums {
  /** Oldest first; seldom more than two. */
  #sums: Sum[] = [];

  used(start: number): number {
    return this.#find(start)?.used ?? 0;
  }

  /** @param until When the sum may be forgotten, unless another charge keeps it for longer. */
  add(start: number, amount: number, until: number): void {
    const sum = this.#find(start);
    if (sum === undefined) this.#sums.push({ start, used: amount, until });
    else {
      sum.used += amount;
      sum.until = Math.max(sum.until, until);
    }
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
    this.#sums = this.#sums.filter((sum) => sum.until > date && (sum.until !== Infinity || sum.used > 0));
    return this.#sums.length === 0;
  }

  #find(start: number): Sum | undefined {
    for (let i = this.#sums.length - 1; i >= 0; i -= 1) {
      if (this.#sums[i]!.start === start) return this.#sums[i];
    }
    return undefined;
  }
}
