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
  #underWay = 0;
  #idle: (() => void) | undefined;
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
    this.#underWay += 1;
    run().then(
      () => this.#done(run),
      (error: unknown) => this.#failed(operation, run, error),
    );
  }

  /** Stops the timer and waits for what is under way. */
  async close(): Promise<void> {
    this.#open.clear();
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    this.#unsettled.clear();
    this.#stop?.();
    this.#stop = undefined;
  }

  #done(run: () => Promise<unknown>): void {
    if (this.#unsettled.size > 0) this.#unsettled.delete(run);
    this.#underWay -= 1;
    if (this.#underWay === 0) this.#idle?.();
  }

  #failed(operation: string, run: () => Promise<unknown>, error: unknown): void {
    const tries = (this.#unsettled.get(run) ?? 0) + 1;
    this.#done(run);
    this.failed(operation, error);
    if (!(error instanceof StoreError) || tries > MOST_TRIES) return;
    this.#unsettled.set(run, tries);
    this.#start();
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
