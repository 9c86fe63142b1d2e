import type { AdmitRequest, JobRef, LimitStore, Outcome } from '../store.js';

/** What the store has yet to be told of one job. */
interface Entry {
  ref: JobRef;
  /** The job was admitted here, not by the store. */
  admitted: AdmitRequest | undefined;
  /** Whether the store may have been told that it was. */
  adopted: boolean;
  /** `run` as `commit` was given it. */
  commit: { run: string | undefined } | undefined;
  end: { finish: Outcome } | { refund: string } | undefined;
  /** Counts what was noted, so that what comes while the entry is being written is not lost. */
  notes: number;
}

const keyOf = ({ customer, id }: JobRef): string => `${customer.length}:${customer}${id}`;
const IN_FLIGHT = 16;

/**
 * What happened to jobs while the store could not be reached, for when it can be again: jobs admitted here that hold a
 * lease, and what became of jobs that the store knows. Bounded; what doesn't fit is counted. Lost when the process ends.
 */
export class Journal {
  readonly #entries = new Map<string, Entry>();
  /** How many notes did not fit since this was last set to 0. */
  dropped = 0;

  constructor(readonly most: number) {}

  get size(): number {
    return this.#entries.size;
  }

  /** Whether that job was admitted here and the store doesn't know of it yet. */
  holds(ref: JobRef): boolean {
    return this.#entries.get(keyOf(ref))?.admitted !== undefined;
  }

  admitted(request: AdmitRequest): void {
    const entry = this.#entryOf(request.ref);
    if (entry) entry.admitted = request;
  }

  committed(ref: JobRef, run: string | undefined): void {
    const entry = this.#entryOf(ref);
    if (entry) entry.commit = { run };
  }

  finished(ref: JobRef, outcome: Outcome): void {
    this.#ended(ref, { finish: outcome });
  }

  refunded(ref: JobRef, run: string): void {
    this.#ended(ref, { refund: run });
  }

  clear(): void {
    this.#entries.clear();
    this.dropped = 0;
  }

  /**
   * Tells the store everything about the jobs of these customers. Each step may be repeated, so that a failure in between
   * does no harm: what is not done stays.
   *
   * @param written Called for each job that the store has been told of.
   * @throws {StoreError} When the store fails again.
   */
  async write(
    store: LimitStore,
    wanted: (customer: string) => boolean,
    written: (ref: JobRef, adopted: boolean) => void,
  ): Promise<void> {
    const entries = this.#entries.entries();
    const writer = async (): Promise<void> => {
      for (const [key, entry] of entries) {
        if (!wanted(entry.ref.customer)) continue;
        let { notes } = entry;
        await tell(store, entry);
        while (notes !== entry.notes) {
          ({ notes } = entry);
          await tell(store, entry);
        }
        if (this.#entries.get(key) === entry) this.#entries.delete(key);
        written(entry.ref, entry.admitted !== undefined);
      }
    };
    const results = await Promise.allSettled(Array.from({ length: IN_FLIGHT }, writer));
    const failed = results.find((result) => result.status === 'rejected');
    if (failed) throw failed.reason as Error;
  }

  #ended(ref: JobRef, end: NonNullable<Entry['end']>): void {
    const entry = this.#entryOf(ref);
    if (entry === undefined) return;
    entry.end ??= end;
    const { admitted, adopted } = entry;
    if (admitted !== undefined && !adopted && !outlives(admitted, entry.end))
      this.#entries.delete(keyOf(ref));
  }

  #entryOf(ref: JobRef): Entry | undefined {
    const key = keyOf(ref);
    let entry = this.#entries.get(key);
    if (entry === undefined) {
      if (this.#entries.size >= this.most) {
        this.dropped += 1;
        return undefined;
      }
      entry = { ref, admitted: undefined, adopted: false, commit: undefined, end: undefined, notes: 0 };
      this.#entries.set(key, entry);
    }
    entry.notes += 1;
    return entry;
  }
}

/** Whether something of a job has to be counted that was made and has ended here: its quotas, or what it leaves behind. */
const outlives = ({ terms }: AdmitRequest, end: NonNullable<Entry['end']>): boolean =>
  'finish' in end &&
  (terms.retention !== undefined ||
    end.finish.retention !== undefined ||
    terms.limits.some(({ kind }) => kind === 'quota'));

async function tell(store: LimitStore, entry: Entry): Promise<void> {
  const { ref, admitted } = entry;
  if (admitted !== undefined) {
    entry.adopted = true;
    await store.admit({ ...admitted, adopt: true });
  }
  if (entry.commit !== undefined) await store.commit(ref, entry.commit.run);
  if (entry.end === undefined) return;
  if ('finish' in entry.end) await store.finish(ref, entry.end.finish);
  else await store.refund(ref, entry.end.refund);
}
