import type { Claim, Due, LimitStore, StoreEvent } from '../store.js';
import { decodeJob } from './encoding.js';
import type { Keys } from './keys.js';
import * as scripts from './scripts.js';
import type { Script } from './scripts.js';

/** What a sweeper's operations need of the store. */
export interface Runs {
  readonly keys: Keys;
  run(script: Script, keys: string[], args: string[]): Promise<unknown>;
  /** Tells what a script found out about a customer on the way. */
  tell(customer: string, found: unknown): void;
  emit(event: StoreEvent): void;
  /** The process's own clock, in milliseconds. */
  now(): number;
}

/** Most jobs that one script looks at, so that it stays short. */
const JOBS = 100;
/** Most customers that are taken at once. */
const CUSTOMERS = 50;
/** How often a process asks whether anybody sweeps, and how often it tells that nobody does. */
const ASK_MS = 60_000;
const TELL_MS = 3_600_000;
const DAY_MS = 86_400_000;
/** How many customers that seem to have waited for a sweeper are looked at before it is asked again. */
const LOOKS = 20;

const dues: Record<string, Due> = { o: 'overrun', e: 'expiring', r: 'results', m: 'metadata' };
const codes: Record<Due, string> = { overrun: 'o', expiring: 'e', results: 'r', metadata: 'm' };

/** An id may be used again once its job is forgotten, so the time belongs to the task. */
function claimId({ ref, finishedAt, resultsExpireAt, startedAt }: Claim['job'], due: Due): string {
  const time = due === 'expiring' ? resultsExpireAt : (finishedAt ?? startedAt);
  return `${due}:${time}:${ref.customer.length}:${ref.customer}:${ref.id}`;
}

interface Found {
  claims: Claim[];
  /** For how long the customer has been due after this; -1 where it is not. */
  lateMs: number;
  /** The shard's customer that has waited for more than a day, and since when. */
  waiting: [customer: string, since: string] | [];
}

/** Due jobs, found by the shard's index of customers and the customer's own schedule. */
export class Sweeping {
  #askAt = -Infinity;
  #tellAt = -Infinity;

  constructor(private readonly runs: Runs) {}

  async claim({ shard, limit, leaseMs }: Parameters<LimitStore['claim']>[0]): Promise<Claim[]> {
    const claims: Claim[] = [];
    const due = this.runs.keys.dueOf(shard);
    let taken: string[];
    let most: number;
    do {
      most = Math.min(CUSTOMERS, limit - claims.length);
      taken = (await this.runs.run(scripts.claimShard, [due], [String(most), String(leaseMs)])) as string[];
      let open = taken;
      // In turns, so that a customer with many due jobs doesn't keep the others waiting.
      while (open.length > 0) {
        const share = Math.min(JOBS, Math.floor((limit - claims.length) / open.length));
        const found = await Promise.all(open.map((customer) => this.#claimOf(customer, share, leaseMs)));
        claims.push(...found.flatMap((one) => one.claims));
        const left = limit - claims.length;
        open = open.filter((_, i) => found[i]!.lateMs >= 0 && found[i]!.claims.length > 0).slice(0, left);
      }
    } while (taken.length === most && claims.length < limit);
    return claims;
  }

  async confirm(claims: readonly Claim[]): Promise<number> {
    const byCustomer = new Map<string, Claim[]>();
    for (const claim of claims) {
      // `finish` has ended these.
      if (claim.due === 'overrun') continue;
      const { customer } = claim.job.ref;
      const others = byCustomer.get(customer);
      if (others) others.push(claim);
      else byCustomer.set(customer, [claim]);
    }
    const confirmed = await Promise.all(
      [...byCustomer].flatMap(([customer, all]) => {
        const parts: Promise<number>[] = [];
        for (let i = 0; i < all.length; i += JOBS) {
          parts.push(this.#confirmOf(customer, all.slice(i, i + JOBS)));
        }
        return parts;
      }),
    );
    return confirmed.reduce((sum, count) => sum + count, 0);
  }

  async postpone({ job, due, tries }: Claim, afterMs: number | null): Promise<void> {
    const { customer, id } = job.ref;
    const { all } = this.runs.keys.ofCustomer(customer);
    const finishedAt = String(job.finishedAt ?? '');
    const args = [id, codes[due], finishedAt, String(tries), String(afterMs ?? '')];
    const [, found] = (await this.runs.run(scripts.postpone, all, args)) as unknown[];
    this.runs.tell(customer, found);
  }

  /** Whether it is time to ask again if anybody sweeps. */
  asks(): boolean {
    const now = this.runs.now();
    if (now < this.#askAt) return false;
    this.#askAt = now + ASK_MS;
    return true;
  }

  /** Tells that nobody sweeps, if the customer that seems to have waited really has; the index may be early. */
  async look(waiting: Found['waiting']): Promise<void> {
    for (let looks = 0; looks < LOOKS; looks += 1) {
      const [customer, since] = waiting;
      if (customer === undefined) return;
      const found = await this.#claimOf(customer, 0, 0);
      if (found.lateMs > DAY_MS) {
        const now = this.runs.now();
        if (now >= this.#tellAt) this.runs.emit({ type: 'unswept', since: Number(since) });
        if (now >= this.#tellAt) this.#tellAt = now + TELL_MS;
        return;
      }
      ({ waiting } = found);
    }
  }

  async #claimOf(customer: string, most: number, leaseMs: number): Promise<Found> {
    const { all } = this.runs.keys.ofCustomer(customer);
    const reply = (await this.runs.run(scripts.claim, all, [String(most), String(leaseMs)])) as unknown[];
    const [found, lateMs, waiting, ...rows] = reply;
    this.runs.tell(customer, found);
    const claims: Claim[] = [];
    for (let i = 0; i < rows.length; i += 3) {
      const job = decodeJob(customer, rows[i] as unknown[]);
      const due = dues[String(rows[i + 1])]!;
      claims.push({ job, due, id: claimId(job, due), tries: Number(rows[i + 2]) });
    }
    return { claims, lateMs: Number(lateMs), waiting: waiting as Found['waiting'] };
  }

  async #confirmOf(customer: string, claims: Claim[]): Promise<number> {
    const { all } = this.runs.keys.ofCustomer(customer);
    const args = claims.flatMap(({ due, job: { finishedAt, resultsExpireAt, ref } }) => [
      codes[due],
      String(finishedAt),
      String(resultsExpireAt),
      ref.id,
    ]);
    const [count, found] = (await this.runs.run(scripts.confirm, all, args)) as unknown[];
    this.runs.tell(customer, found);
    return Number(count);
  }
}
