import type { Amounts, Limit, Override, QuotaLimit, Terms } from '../../../lib/stores/store.js';

/** What a job takes of one limit. */
interface Charge {
  limit: Exclude<Limit, { kind: 'creation-rate' }>;
  amount: number;
  /** When it was charged, epoch milliseconds. */
  date: number;
}

interface Job {
  run: string;
  state: 'pending' | 'lapsed' | 'running' | 'completed' | 'refunded';
  terms: Terms;
  /** Limits that it has been checked against, charged or not. */
  names: Set<string>;
  charges: Charge[];
  leaseUntil: number;
  /** When its results expire, epoch milliseconds. */
  expiresAt: number;
}

interface Now {
  /** On the monotonic clock. */
  now: number;
  /** Epoch milliseconds. */
  date: number;
}

/** What an admission must come to. */
export interface Expected {
  answer: 'admitted' | 'refused' | 'replayed';
  /** Names of the limits that refuse, and of those that would. */
  violated: string[];
  shadowed: string[];
  /** How much each limit grows by. */
  growth: Record<string, number>;
}

const DAY_MS = 86_400_000;

const periodStart = (per: QuotaLimit['per'], date: number): string =>
  per === 'stored' ? '' : new Date(date).toISOString().slice(0, { hour: 13, day: 10, month: 7 }[per]);

export const amountOf = (limit: Limit, amounts: Amounts | undefined): number =>
  limit.kind !== 'quota' ? 1 : (amounts?.[limit.unit] ?? (limit.unit === 'jobs' ? 1 : 0));

/** The limits that hold, with the override applied. */
export function effective(limits: readonly Limit[], override: Override | null): Limit[] {
  return limits.map((limit) => {
    const set = override?.limits.find(({ name, kind }) => name === limit.name && kind === limit.kind);
    return { ...(set ?? limit), ...(override?.mode && { mode: override.mode }) };
  });
}

/**
 * One customer's quotas and slots, added up anew from all its jobs whenever somebody asks: slow, and plainly right. What is
 * used of its rates it is told, since the naive store next door counts these.
 */
export class NaiveQuotas {
  readonly jobs = new Map<string, Job>();
  #swept = 0;

  used(limit: Limit, { date }: Now): number {
    let used = 0;
    for (const { state, charges } of this.jobs.values()) {
      if (state === 'lapsed' || state === 'refunded') continue;
      for (const charge of charges) {
        if (charge.limit.name !== limit.name) continue;
        if (charge.limit.kind === 'concurrency') used += state === 'pending' || state === 'running' ? 1 : 0;
        else if (limit.kind === 'quota' && isSamePeriod(charge, limit, date)) used += charge.amount;
      }
    }
    return used;
  }

  settle({ now }: Now): void {
    for (const job of this.jobs.values()) {
      if (job.state === 'pending' && job.leaseUntil <= now) job.state = 'lapsed';
    }
  }

  /** @param used What is used of each of the limits before. */
  expect(
    id: string,
    run: string,
    limits: readonly Limit[],
    amounts: Amounts | undefined,
    used: number[],
  ): Expected {
    const known = this.#live(id);
    const expected: Expected = { answer: 'admitted', violated: [], shadowed: [], growth: {} };
    if (known !== undefined && known.run !== run) return { ...expected, answer: 'replayed' };
    if (known !== undefined && known.state !== 'pending') return expected;
    limits.forEach((limit, i) => {
      const isOwn = known?.names.has(limit.name) ?? false;
      const amount = amountOf(limit, amounts);
      const over = amount > 0 && used[i]! + (isOwn ? 0 : amount) > limit.limit;
      if (over && limit.mode === 'enforce') expected.violated.push(limit.name);
      else if (over && !isOwn) expected.shadowed.push(limit.name);
      else if (!isOwn) expected.growth[limit.name] = amount;
    });
    return expected.violated.length > 0 ? { ...expected, answer: 'refused', growth: {} } : expected;
  }

  /** Charges what was admitted. */
  admit(
    id: string,
    run: string,
    terms: Terms,
    limits: readonly Limit[],
    amounts: Amounts | undefined,
    growth: Record<string, number>,
    at: Now,
  ): void {
    let job = this.#live(id);
    if (job === undefined) {
      job = {
        run,
        state: 'pending',
        terms,
        names: new Set(),
        charges: [],
        leaseUntil: at.now + terms.pendingMs,
        expiresAt: Infinity,
      };
      this.jobs.set(id, job);
    }
    if (job.state !== 'pending') return;
    for (const limit of limits) {
      if (job.names.has(limit.name)) continue;
      job.names.add(limit.name);
      if (limit.kind === 'creation-rate' || !(limit.name in growth)) continue;
      job.charges.push({ limit, amount: amountOf(limit, amounts), date: at.date });
    }
  }

  commit(id: string, run: string, at: Now): string {
    const job = this.jobs.get(id);
    if (job === undefined) return 'unknown';
    if (job.run !== run) return 'superseded';
    if (job.state === 'running') return 'already';
    if (job.state === 'refunded') return 'refunded';
    if (job.state === 'completed') return 'finished';
    const answer = job.state === 'lapsed' ? 'reinstated' : 'committed';
    if (job.state === 'lapsed') this.#recharge(job, at);
    job.state = 'running';
    return answer;
  }

  refund(id: string, run: string): string {
    const job = this.jobs.get(id);
    if (job === undefined || job.run !== run || (job.state !== 'pending' && job.state !== 'running'))
      return 'nothing';
    job.state = 'refunded';
    return 'refunded';
  }

  finish(id: string, units: Amounts | undefined, at: Now): string {
    const job = this.jobs.get(id);
    if (job === undefined) return 'unknown';
    if (job.state === 'refunded') return 'refunded';
    if (job.state === 'completed') return 'already';
    if (job.state === 'lapsed') this.#recharge(job, at);
    job.state = 'completed';
    const { retention } = job.terms;
    if (retention !== undefined) job.expiresAt = at.date + retention.resultsMs;
    for (const charge of job.charges) {
      const { limit } = charge;
      if (limit.kind !== 'quota') continue;
      charge.amount =
        limit.per === 'stored' && retention === undefined ? 0 : (units?.[limit.unit] ?? charge.amount);
    }
    return 'finished';
  }

  /** Whether a period that it was charged to may be forgotten by now: a day and its longest run after the period's end. */
  isOld(id: string, { date }: Now): boolean {
    return this.jobs.get(id)?.charges.some((charge) => date - charge.date > 1e9 + DAY_MS) ?? false;
  }

  /** All that has expired is deleted and forgotten; what it had used of periods stays used. */
  sweep({ date }: Now): void {
    for (const [id, job] of this.jobs) {
      if (job.expiresAt > date) continue;
      this.jobs.delete(id);
      const charges = job.charges.filter(({ limit }) => limit.kind === 'quota' && limit.per !== 'stored');
      this.jobs.set(`swept ${(this.#swept += 1)}`, { ...job, run: '', expiresAt: Infinity, charges });
    }
  }

  #live(id: string): Job | undefined {
    const job = this.jobs.get(id);
    return job?.state === 'refunded' || job?.state === 'lapsed' ? undefined : job;
  }

  #recharge(job: Job, { date }: Now): void {
    for (const charge of job.charges) charge.date = date;
  }
}

const isSamePeriod = ({ limit, date }: Charge, { per }: QuotaLimit, now: number): boolean =>
  limit.kind === 'quota' && periodStart(per, date) === periodStart(per, now);
