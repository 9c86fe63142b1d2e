import { periodAt } from '../period.js';
import { amountOf, counterOf, type Amounts, type QuotaLimit } from '../store.js';
import { longestRun, type Charge, type JobRecord } from './job-record.js';
import { QuotaSums } from './quota-sums.js';
import type { Kept } from './retention.js';

const DAY_MS = 24 * 3_600_000;
/** How long a job is taken to run at most where nothing says so. */
const LONGEST_RUN_MS = 30 * DAY_MS;

/** How much each of a customer's quotas was charged. */
export class Quotas {
  /** Few, so that looking through them is faster than a map. */
  #sums: QuotaSums[] = [];

  used(limit: QuotaLimit, start: number): number {
    return this.#find(counterOf(limit))?.usedIn(start) ?? 0;
  }

  charge(limit: QuotaLimit, charge: Charge): void {
    this.#add(limit, charge, amountOf(limit, charge.amounts));
  }

  giveBack(limit: QuotaLimit, charge: Charge): void {
    this.#correct(limit, charge, -amountOf(limit, charge.amounts));
  }

  /**
   * Puts what the job really used in the place of what it reserved; what is stored stays charged where something is kept.
   * Not `settled` where a period is forgotten already.
   */
  settle(
    job: JobRecord,
    units: Amounts | undefined,
    keeps: boolean,
    date: number,
  ): { settled: boolean; stored: Kept['stored'] } {
    let settled = true;
    let stored: Kept['stored'];
    job.forEachCharged((limit, charge) => {
      if (limit.kind !== 'quota') return;
      const reserved = amountOf(limit, charge.amounts);
      const isStored = limit.per === 'stored';
      const used = isStored && !keeps ? 0 : (units?.[limit.unit] ?? reserved);
      if (isStored && used > 0) (stored ??= []).push({ counter: counterOf(limit), amount: used });
      if (used === reserved || this.#correct(limit, charge, used - reserved)) return;
      // Nobody has reserved anything in this period, or it is so long ago that it is forgotten.
      if (this.#until(limit, charge) > date) this.#add(limit, charge, used - reserved);
      else settled = false;
    });
    return { settled, stored };
  }

  /** Gives back what a job took of the limits on what is stored. */
  giveBackStored(kept: Kept): void {
    for (const { counter, amount } of kept.stored ?? []) this.#find(counter)?.correct(0, -amount);
    kept.stored = undefined;
  }

  /** Forgets sums whose time is over. `true` when none is left. */
  isIdle(date: number): boolean {
    this.#sums = this.#sums.filter((sums) => !sums.isIdle(date));
    return this.#sums.length === 0;
  }

  #add(limit: QuotaLimit, charge: Charge, amount: number): void {
    if (amount <= 0) return;
    const counter = counterOf(limit);
    const { start } = periodAt(limit.per, charge.date);
    let sums = this.#find(counter);
    if (sums === undefined) this.#sums.push((sums = new QuotaSums(counter, start)));
    sums.add(start, amount, this.#until(limit, charge));
  }

  #correct(limit: QuotaLimit, { date }: Charge, by: number): boolean {
    return this.#find(counterOf(limit))?.correct(periodAt(limit.per, date).start, by) ?? false;
  }

  #find(counter: string): QuotaSums | undefined {
    for (const sums of this.#sums) if (sums.counter === counter) return sums;
    return undefined;
  }

  /** Until a day after the last job of the period must have ended. */
  #until({ per }: QuotaLimit, { terms, date }: Charge): number {
    return periodAt(per, date).end + Math.min(longestRun(terms), LONGEST_RUN_MS) + DAY_MS;
  }
}
