import type { Claim, Due, StoredJob } from '../store.js';
import type { Customer, DueList } from './customer.js';
import { DueQueue } from './due-queue.js';
import type { JobRecord } from './job-record.js';
import { nextTask } from './retention.js';
import type { Times } from './times.js';

interface Item {
  customer: Customer;
  job: JobRecord;
}

/** The jobs of a MemoryStore that sweepers have to do something about, now or later. */
export class DueJobs implements DueList {
  readonly #overruns = new DueQueue<Item>(
    ({ customer, job }, at) => job.task?.at === at && customer.unleased.get(job.id) === job,
  );
  readonly #kept = new DueQueue<Item>(
    ({ customer, job }, at) => job.task?.at === at && customer.kept.get(job.id) === job,
  );

  /** From its hard end on it is due to be ended. */
  overrun(customer: Customer, job: JobRecord): void {
    this.#schedule(this.#overruns, { customer, job }, job.hardEnd ?? Infinity);
  }

  kept(customer: Customer, job: JobRecord): void {
    const at = job.pinned === undefined ? nextTask(job.kept!).at : Infinity;
    this.#schedule(this.#kept, { customer, job }, at);
  }

  /** The date since which something is due. `Infinity` where nothing ever is. */
  get dueSince(): number {
    return this.#kept.next;
  }

  claim(
    limit: number,
    leaseMs: number,
    { now, date }: Times,
    describe: (customer: Customer, job: JobRecord) => StoredJob,
  ): Claim[] {
    const claims: Claim[] = [];
    const take = (queue: DueQueue<Item>, item: Item, due: Due, until: number): void => {
      const tries = (item.job.task?.tries ?? 0) + 1;
      this.#schedule(queue, item, until, tries);
      claims.push({ job: describe(item.customer, item.job), due, id: claimId(item, due), tries });
    };
    while (claims.length < limit) {
      const item = this.#overruns.take(now);
      if (item === undefined) break;
      if (item.job.state === 'running') take(this.#overruns, item, 'overrun', now + leaseMs);
    }
    while (claims.length < limit) {
      const item = this.#kept.take(date);
      if (item === undefined) break;
      const kept = item.job.kept!;
      // It is too late to announce what has happened.
      if (kept.resultsExpireAt <= date) kept.noticeMs = 0;
      const task = nextTask(kept);
      if (task.at > date) this.kept(item.customer, item.job);
      else take(this.#kept, item, task.due, date + leaseMs);
    }
    return claims;
  }

  /** Whether the task was still to be done. */
  confirm(customer: Customer, { job: { ref }, due, id }: Claim): boolean {
    const job = customer.kept.get(ref.id);
    if (job === undefined || nextTask(job.kept!).due !== due) return false;
    // Another job of the same id, or other results: those of a longer life are announced by themselves.
    if (claimId({ customer, job }, due) !== id) return false;
    if (due === 'metadata') {
      customer.forgetKept(job);
      return true;
    }
    if (due === 'results') customer.resultsDeleted(job.kept!);
    job.kept!.noticeMs = 0;
    this.kept(customer, job);
    return true;
  }

  postpone(customer: Customer, { job: { ref }, due, tries }: Claim, afterMs: number, times: Times): void {
    const running = due === 'overrun';
    const job = (running ? customer.unleased : customer.kept).get(ref.id);
    if (job?.task?.tries !== tries) return;
    const until = (running ? times.now : times.date) + afterMs;
    this.#schedule(running ? this.#overruns : this.#kept, { customer, job }, until, tries);
  }

  /** Lets go of jobs that are due for nothing any more, so that where nobody sweeps they don't stay in memory. */
  tidy(): void {
    for (const queue of [this.#overruns, this.#kept]) queue.tidy();
  }

  clear(): void {
    this.#overruns.clear();
    this.#kept.clear();
  }

  #schedule(queue: DueQueue<Item>, item: Item, at: number, tries = 0): void {
    item.job.extras.task = { at, tries };
    queue.add(item, at);
  }
}

/** An id may be used again once its job is forgotten, so the time belongs to the task. */
function claimId({ customer, job }: Item, due: Due): string {
  const time = due === 'expiring' ? job.kept!.resultsExpireAt : (job.finishedAt ?? job.startedAt);
  return `${due}:${time}:${customer.id.length}:${customer.id}:${job.id}`;
}
