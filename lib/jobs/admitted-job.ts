import { JobLimitsError } from '../errors.js';
import type { Decision, JobRef, LimitStore, StoredJob, Terms } from '../stores/store.js';

/** What became of a job, told to whoever watches. */
export type JobNews = (
  operation: 'commit' | 'refund' | 'renew' | 'finish',
  ref: JobRef,
  answer: string,
) => void;

/**
 * The job that a request was admitted for, in the hands of the request's handler. The same for all middlewares of the
 * request that limit the same customer on the same store.
 */
export class AdmittedJob {
  /** Hand this to the queue: whoever ends the job calls `finish` with it. Two strings, fit for JSON. */
  readonly ref: JobRef;
  /** The name of the plan it was admitted on, or `undefined`. */
  readonly plan: string | undefined;
  /** How the store decided, and where each limit stood then. */
  decision: Decision;
  /** The job as it already exists, when the request repeats an earlier one; nothing was charged then. */
  readonly existing: StoredJob | undefined;
  /** @internal `open` until it is committed, refunded or, with `hold: 'request'`, finished. */
  phase: 'open' | 'committed' | 'refunded' | 'finished' = 'open';
  /** @internal Terms that it was admitted on, in order. */
  readonly terms: Terms[] = [];

  /** @internal */
  constructor(
    /** @internal */ readonly store: LimitStore,
    ref: JobRef,
    /** @internal */ readonly run: string,
    terms: Terms,
    decision: Decision & { allowed: true },
    /** @internal How long its lease is kept: until `finish`, or only while the request is open. */
    readonly hold: 'job' | 'request',
    private readonly tell: JobNews,
  ) {
    this.ref = ref;
    this.plan = terms.plan;
    this.decision = decision;
    this.existing = decision.replayed ? decision.job : undefined;
    this.terms.push(terms);
  }

  /** Whether the request repeats an earlier one whose job exists. */
  get replayed(): boolean {
    return this.existing !== undefined;
  }

  /**
   * From here on the slot belongs to the job, whatever becomes of the request. Call it before the job is enqueued, or with
   * the function that enqueues it: when that throws, the job is refunded and the error passed on. A handler that doesn't
   * call it leaves it to the end of the response: a status under 400 commits.
   *
   * @throws {JobLimitsError} `JOB_NOT_COMMITTED` when the job was refunded, its id admitted by another request meanwhile, or
   *   the request is a replay; it must not be enqueued then.
   * @throws {StoreError}
   */
  async commit(): Promise<void>;
  async commit<T>(enqueue: (ref: JobRef) => T | Promise<T>): Promise<T>;
  async commit<T>(enqueue?: (ref: JobRef) => T | Promise<T>): Promise<T | undefined> {
    if (this.replayed) throw notCommitted('it exists already, made by an earlier request: see job.replayed');
    const answer = await this.store.commit(this.ref, this.run);
    this.tell('commit', this.ref, answer);
    if (answer === 'refunded' || answer === 'superseded') throw notCommitted(`it was ${answer}`);
    if (this.phase === 'open') this.phase = 'committed';
    if (enqueue === undefined) return undefined;
    try {
      return await enqueue(this.ref);
    } catch (error) {
      await this.refund();
      throw error;
    }
  }

  /** Heartbeat, for a handler that runs the job itself. Workers call `limits.renew(ref)`. */
  async renew(): ReturnType<LimitStore['renew']> {
    const answer = await this.store.renew(this.ref);
    this.tell('renew', this.ref, answer);
    return answer;
  }

  /**
   * Gives back what the job was charged, for a job that is not made after all. Legal until the job is finished; a second
   * time, and for a replay, nothing happens.
   */
  async refund(): ReturnType<LimitStore['refund']> {
    if (this.replayed) return 'nothing';
    const answer = await this.store.refund(this.ref, this.run);
    if (answer === 'refunded') this.phase = 'refunded';
    this.tell('refund', this.ref, answer);
    return answer;
  }

  /** @internal Ends a job that lives only as long as its request. */
  async finish(): ReturnType<LimitStore['finish']> {
    const answer = await this.store.finish(this.ref, { state: 'completed' });
    this.phase = 'finished';
    this.tell('finish', this.ref, answer);
    return answer;
  }
}

const notCommitted = (why: string): JobLimitsError =>
  new JobLimitsError('JOB_NOT_COMMITTED', `The job can't be committed: ${why}`);
