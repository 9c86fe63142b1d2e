import type { Clock } from '../clock.js';
import { StoreError } from '../errors.js';
import type { LimitStore } from '../stores/store.js';
import type { AdmittedJob } from './admitted-job.js';

/** How often what a request's end asks of the store is tried again when the store fails, once a turn. */
const MOST_TRIES = 30;

/** What a job's request can end with. */
type Settlement = 'commit' | 'refund' | 'finish';

/**
 * Jobs whose request is still open. Their pending leases are renewed by one timer for all, three times in the life of a
 * lease; what could not be settled with the store is tried again by the same timer.
 */
export class OpenJobs {
  /** Jobs to renew, and whether they were here at the last turn already. */
  readonly #open = new Map<AdmittedJob, boolean>();
  readonly #unsettled = new Map<AdmittedJob, { operation: Settlement; tries: number }>();
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
  settle(job: AdmittedJob, operation: Settlement, tries = 1): void {
    this.#underWay += 1;
    this.#run(job, operation).then(this.#done, (error: unknown) => {
      this.#done();
      this.failed(operation, error);
      if (!(error instanceof StoreError) || tries >= MOST_TRIES) return;
      this.#unsettled.set(job, { operation, tries });
      this.#start();
    });
  }

  #run(job: AdmittedJob, operation: Settlement): Promise<unknown> {
    if (operation === 'commit') return job.commit();
    return operation === 'refund' ? job.refund() : job.finish();
  }

  /** Stops the timer and waits for what is under way. */
  async close(): Promise<void> {
    this.#open.clear();
    if (this.#underWay > 0) await new Promise<void>((resolve) => (this.#idle = resolve));
    this.#unsettled.clear();
    this.#stop?.();
    this.#stop = undefined;
  }

  readonly #done = (): void => {
    this.#underWay -= 1;
    if (this.#underWay === 0) this.#idle?.();
  };

  #start(): void {
    this.#stop ??= this.clock.every(Math.max(1, Math.floor(this.pendingMs / 3)), this.#turn);
  }

  readonly #turn = (): void => {
    if (this.#open.size === 0 && this.#unsettled.size === 0) {
      this.#stop?.();
      this.#stop = undefined;
    }
    for (const [job, { operation, tries }] of [...this.#unsettled]) {
      this.#unsettled.delete(job);
      this.settle(job, operation, tries + 1);
    }
    for (const [job, old] of this.#open) {
      if (old) job.renew().catch((error: unknown) => this.failed('renew', error));
      else this.#open.set(job, true);
    }
  };
}
