import type { Terms } from '../../../lib/stores/store.js';

interface Job {
  id: string;
  run: string;
  state: 'pending' | 'lapsed' | 'running' | 'completed' | 'refunded';
  /** When its rate was charged; `undefined` when it was given back. */
  chargedAt: number | undefined;
  startedAt: number;
  leaseUntil: number;
  /** Which lease it was, counted from the first. */
  leased: number;
}

/** One rate and one concurrency limit, counted by going through all there ever was: slow, and plainly right. */
export class NaiveStore {
  jobs: Job[] = [];
  charges: number[] = [];
  refunds: number[] = [];
  leases = 0;

  constructor(
    readonly limit: number,
    readonly windowMs: number,
    readonly slots: number,
    readonly maxRunMs: number,
    readonly heartbeatMs: number,
    readonly terms: Terms,
  ) {}

  /** Charges in the window that ends now, oldest first. */
  rate(now: number): number[] {
    return this.charges.filter((at) => now - at < this.windowMs);
  }

  held(now: number): number {
    return this.jobs.filter((job) => isHeld(job, now)).length;
  }

  settle(now: number): void {
    // Of leases that end at once, the one that was taken first gives back first.
    for (const job of [...this.jobs].sort((a, b) => a.leased - b.leased)) {
      if (job.state === 'pending' && job.leaseUntil <= now) this.#undo(job, 'lapsed', now);
    }
  }

  find(id: string): Job | undefined {
    return this.jobs.findLast((job) => job.id === id);
  }

  /** The answer, and after which time a refusal by the rate alone would pass. */
  admit(id: string, run: string, now: number): { answer: string; retryAfterMs?: number } {
    const known = this.find(id);
    if (known && known.state !== 'refunded' && known.state !== 'lapsed') {
      if (known.run !== run) return { answer: 'replayed' };
      const over = this.rate(now).length > this.limit || this.held(now) > this.slots;
      return { answer: known.state === 'pending' && over ? 'refused' : 'admitted' };
    }
    const rate = this.rate(now);
    const rateFull = rate.length >= this.limit;
    const slotsFull = this.held(now) >= this.slots;
    if (rateFull || slotsFull) {
      if (slotsFull) return { answer: 'refused' };
      return { answer: 'refused', retryAfterMs: rate[rate.length - this.limit]! + this.windowMs - now };
    }
    this.charges.push(now);
    const leaseUntil = now + this.terms.pendingMs;
    this.jobs = this.jobs.filter((job) => job !== known);
    this.jobs.push({
      id,
      run,
      state: 'pending',
      chargedAt: now,
      startedAt: -1,
      leaseUntil,
      leased: (this.leases += 1),
    });
    return { answer: 'admitted' };
  }

  commit(id: string, run: string, now: number): string {
    const job = this.find(id);
    if (!job) return 'unknown';
    if (job.run !== run) return 'superseded';
    if (job.state === 'running') return 'already';
    if (job.state === 'refunded') return 'refunded';
    if (job.state === 'completed') return 'finished';
    const answer = job.state === 'lapsed' ? 'reinstated' : 'committed';
    if (job.state === 'lapsed') this.#recharge(job, now);
    job.state = 'running';
    job.startedAt = now;
    job.leaseUntil = now + Math.min(this.maxRunMs, this.heartbeatMs);
    return answer;
  }

  refund(id: string, run: string, now: number): string {
    const job = this.find(id);
    if (!job || job.run !== run || (job.state !== 'pending' && job.state !== 'running')) return 'nothing';
    this.#undo(job, 'refunded', now);
    return 'refunded';
  }

  renew(id: string, now: number): string {
    const job = this.find(id);
    if (!job) return 'unknown';
    if (job.state === 'refunded') return 'refunded';
    if (job.state === 'completed') return 'finished';
    if (job.state !== 'running') {
      const answer = job.state === 'lapsed' ? 'reinstated' : 'renewed';
      if (job.state === 'lapsed') this.#recharge(job, now);
      job.state = 'pending';
      job.leaseUntil = now + this.terms.pendingMs;
      return answer;
    }
    const until = Math.min(job.startedAt + this.maxRunMs, now + this.heartbeatMs);
    if (until <= now) return 'overrun';
    const answer = isHeld(job, now) ? 'renewed' : 'reinstated';
    job.leaseUntil = until;
    return answer;
  }

  finish(id: string, now: number): string {
    const job = this.find(id);
    if (!job) return 'unknown';
    if (job.state === 'refunded') return 'refunded';
    if (job.state === 'completed') return 'already';
    if (job.state === 'lapsed') this.#recharge(job, now);
    job.state = 'completed';
    return 'finished';
  }

  #recharge(job: Job, now: number): void {
    job.leased = this.leases += 1;
    job.chargedAt = now;
    this.charges.push(now);
  }

  #undo(job: Job, state: 'refunded' | 'lapsed', now: number): void {
    job.state = state;
    const inWindow = this.refunds.filter((at) => now - at < this.windowMs).length;
    if (inWindow >= this.limit || job.chargedAt === undefined || now - job.chargedAt >= this.windowMs) return;
    this.charges.splice(this.charges.lastIndexOf(job.chargedAt), 1);
    this.refunds.push(now);
    job.chargedAt = undefined;
  }
}

const isHeld = (job: Job, now: number): boolean =>
  (job.state === 'pending' || job.state === 'running') && job.leaseUntil > now;
