import { randomUUID } from 'node:crypto';
import {
  jobLifecycle,
  type Due,
  type ExpiryTask,
  type JobLifecycle,
  type JobRef,
  type LifecycleEvents,
  type LimitStore,
  type ManualClock,
  type StoredJob,
  type Sweeper,
  type SweepOptions,
  type Terms,
} from '../../lib/index.js';
import { storeMethods } from '../../lib/stores/store.js';
import { keptTerms } from '../../lib/testing/contract/kept-jobs.js';

/** A fresh store to sweep, and the hand on its time and on that of its sweepers. */
export interface SweptStore {
  store: LimitStore;
  clock: ManualClock;
  /** Moves both on. */
  advance: (ms: number) => Promise<void> | void;
  dispose?: () => Promise<void> | void;
}

export type MakeStore = () => Promise<SweptStore> | SweptStore;

/** Tests that get a store each. */
export const testOn =
  (make: MakeStore) =>
  (name: string, body: (swept: SweptStore) => Promise<void>): void =>
    it(name, async () => {
      const swept = await make();
      try {
        await body(swept);
      } finally {
        await swept.dispose?.();
      }
    });

/** The store with some of its methods replaced. */
export function storeWith(store: LimitStore, own: Partial<LimitStore>): LimitStore {
  const methods = storeMethods.map((name) => [name, (store[name] as () => unknown).bind(store)]);
  return { ...Object.fromEntries(methods), shards: store.shards, ...own } as LimitStore;
}

const names = ['finish', 'overrun', 'expiring', 'expired', 'expiry-failed', 'store-error', 'swept'] as const;

/** What was told, in order: the event's name and its value. */
export function recorded(jobs: JobLifecycle): {
  told: [string, unknown][];
  of: <K extends keyof LifecycleEvents>(event: K) => LifecycleEvents[K][];
} {
  const told: [string, unknown][] = [];
  for (const name of names) jobs.on(name, (value: unknown) => void told.push([name, value]));
  return {
    told,
    of: <K extends keyof LifecycleEvents>(event: K) =>
      told.filter(([name]) => name === event).map(([, value]) => value as LifecycleEvents[K]),
  };
}

export interface Call extends ExpiryTask {
  due: Due;
  ref: JobRef;
}

/** A sweeper whose turns the test begins, with a record of its callbacks. */
export function sweeperOn(
  { store, clock }: SweptStore,
  callback: (call: Call) => unknown = () => undefined,
  options: Partial<SweepOptions> = {},
): { jobs: JobLifecycle; sweeper: Sweeper; calls: Call[] } & ReturnType<typeof recorded> {
  const jobs = jobLifecycle({ store, clock });
  const events = recorded(jobs);
  const calls: Call[] = [];
  const callbackFor =
    (due: Due) =>
    (job: StoredJob, task: ExpiryTask): unknown => {
      const call = { ...task, due, ref: job.ref };
      calls.push(call);
      return callback(call);
    };
  const sweeper = jobs.sweep({
    onExpire: callbackFor('results'),
    onMetadataExpire: callbackFor('metadata'),
    everyMs: '20d',
    ...options,
  });
  return { jobs, sweeper, calls, ...events };
}

/** Many jobs that have ended, of several customers. */
export async function finishMany(
  store: LimitStore,
  count: number,
  terms: Terms = keptTerms(),
): Promise<JobRef[]> {
  const refs = Array.from({ length: count }, (_, i) => ({ customer: `customer-${i % 7}`, id: randomUUID() }));
  await Promise.all(
    refs.map(async (ref) => {
      await store.admit({ ref, run: ref.id, terms });
      await store.commit(ref, ref.id);
      await store.finish(ref, { state: 'completed' });
    }),
  );
  return refs;
}

/** A job that runs. */
export async function runningJob(store: LimitStore, terms: Terms = keptTerms()): Promise<JobRef> {
  const ref = { customer: 'acme', id: randomUUID() };
  await store.admit({ ref, run: ref.id, terms });
  await store.commit(ref, ref.id);
  return ref;
}
