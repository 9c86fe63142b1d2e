import type { Clock } from '../clock.js';
import { StoreError } from '../errors.js';
import type { LimitStore } from '../stores/store.js';
import type { AdmittedJob } from './admitted-job.js';

/** How often what a request's end asks of the store is tried again when the store fails, once a turn. */
const MOST_TRIES = 30;

/**
 * Jobs whose request is still open. Their pending leases are renewed by one timer for all, three times in the life of a
 * lease; what could not be settled with the store is tried again by the same timer.
 */
export class OpenJobs {
  /** Jobs to renew, and whether they were here at the last turn already. */
  readonly #open = new Map<AdmittedJob, boolean>();
  readonly #unsettled = new Map<() => Promise<unknown>, number>();
  readonly #underWay = new Set<Promise<void>>();
  #stop: (() => void) | undefined;

  constructor(
    readonly store: LimitStore,
    readonly pendingMs: number,
    readonly clock: Clock,
    readonly failed: (operation: string, error: unknown) => void,
  ) {}

  add(job: AdmittedJob): void {
    this.#open.set(job, false);
    this.#start();
  }

  delete(job: AdmittedJob): void {
    this.#open.delete(job);
  }

  /** Does what the end of a request asks of the store; again later when the store fails. Never throws. */
  settle(operation: string, run: () => Promise<unknown>): void {
    const settled = run().then(
      () => void this.#unsettled.delete(run),
      (error: unknown) => {
        const tries = (this.#unsettled.get(run) ?? 0) + 1;
        const again = error instanceof StoreError && tries <= MOST_TRIES;
        if (again) this.#unsettled.set(run, tries);
        else this.#unsettled.delete(run);
        this.failed(operation, error);
        if (again) this.#start();
      },
    );
    this.#underWay.add(settled);
    void settled.finally(() => this.#underWay.delete(settled));
  }

  /** Stops the timer and waits for what is under way. */
  async close(): Promise<void> {
    this.#stop?.();
    this.#stop = undefined;
    this.#open.clear();
    this.#unsettled.clear();
    await Promise.all(this.#underWay);
  }

  #start(): void {
    this.#stop ??= this.clock.every(Math.max(1, Math.floor(this.pendingMs / 3)), this.#turn);
  }

  readonly #turn = (): void => {
    if (this.#open.size === 0 && this.#unsettled.size === 0) {
      this.#stop?.();
      this.#stop = undefined;
    }
    for (const run of this.#unsettled.keys()) this.settle('retry', run);
    for (const [job, old] of this.#open) {
      if (old) job.renew().catch((error: unknown) => this.failed('renew', error));
      else this.#open.set(job, true);
    }
  };
}
