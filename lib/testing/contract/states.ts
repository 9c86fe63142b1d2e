import assert from 'node:assert/strict';
import type { AdmitRequest, JobState, LimitStore } from '../../stores/store.js';
import {
  HOUR,
  rate,
  request,
  SECOND,
  slots,
  termsOf,
  usedOf,
  type StoreHarness,
  type Suite,
} from '../harness.js';

const HEARTBEAT = 90 * SECOND;
const MAX_RUN = HOUR;
const terms = termsOf(rate(3, 10 * HOUR), slots(3, { maxRunMs: MAX_RUN, heartbeatMs: HEARTBEAT }));

/** Ways to bring a job into a state. `unheld` and `overdue` are running jobs that lost their lease. */
const reach: Record<
  string,
  (store: LimitStore, job: AdmitRequest, advance: StoreHarness['advance']) => Promise<void>
> = {
  async unknown() {},
  async pending(store, job) {
    await store.admit(job);
  },
  async lapsed(store, job, advance) {
    await store.admit(job);
    await advance(terms.pendingMs);
  },
  async running(store, job) {
    await store.admit(job);
    await store.commit(job.ref, job.run);
  },
  async unheld(store, job, advance) {
    await store.admit(job);
    await store.commit(job.ref, job.run);
    await advance(HEARTBEAT);
  },
  async overdue(store, job, advance) {
    await store.admit(job);
    await store.commit(job.ref, job.run);
    await advance(MAX_RUN);
  },
  async finished(store, job) {
    await store.admit(job);
    await store.commit(job.ref, job.run);
    await store.finish(job.ref, { state: 'completed' });
  },
  async refunded(store, job) {
    await store.admit(job);
    await store.refund(job.ref, job.run);
  },
};

const admitAnswer = async (store: LimitStore, job: AdmitRequest): Promise<string> => {
  const decision = await store.admit(job);
  if (!decision.allowed) return 'refused';
  return decision.replayed ? 'replayed' : 'admitted';
};

const operations: Record<string, (store: LimitStore, job: AdmitRequest) => Promise<string>> = {
  admit: admitAnswer,
  'admit, other run': (store, job) => admitAnswer(store, { ...job, run: 'another' }),
  commit: (store, { ref, run }) => store.commit(ref, run),
  'commit, other run': (store, { ref }) => store.commit(ref, 'another'),
  refund: (store, { ref, run }) => store.refund(ref, run),
  'refund, other run': (store, { ref }) => store.refund(ref, 'another'),
  renew: (store, { ref }) => store.renew(ref),
  finish: (store, { ref }) => store.finish(ref, { state: 'completed' }),
};

/** The answer, the job's state afterwards, and what it then uses of the rate and of the slots. */
type Cell = [answer: string, after: JobState | 'unknown', rate: number, slots: number];

/** Every state and every operation. docs/architecture.md shows the same table to people. */
export const stateTable: Record<string, Record<string, Cell>> = {
  unknown: {
    admit: ['admitted', 'pending', 1, 1],
    'admit, other run': ['admitted', 'pending', 1, 1],
    commit: ['unknown', 'unknown', 0, 0],
    'commit, other run': ['unknown', 'unknown', 0, 0],
    refund: ['nothing', 'unknown', 0, 0],
    'refund, other run': ['nothing', 'unknown', 0, 0],
    renew: ['unknown', 'unknown', 0, 0],
    finish: ['unknown', 'unknown', 0, 0],
  },
  pending: {
    admit: ['admitted', 'pending', 1, 1],
    'admit, other run': ['replayed', 'pending', 1, 1],
    commit: ['committed', 'running', 1, 1],
    'commit, other run': ['superseded', 'pending', 1, 1],
    refund: ['refunded', 'refunded', 0, 0],
    'refund, other run': ['nothing', 'pending', 1, 1],
    renew: ['renewed', 'pending', 1, 1],
    finish: ['finished', 'completed', 1, 0],
  },
  lapsed: {
    admit: ['admitted', 'pending', 1, 1],
    'admit, other run': ['admitted', 'pending', 1, 1],
    commit: ['reinstated', 'running', 1, 1],
    'commit, other run': ['superseded', 'lapsed', 0, 0],
    refund: ['nothing', 'lapsed', 0, 0],
    'refund, other run': ['nothing', 'lapsed', 0, 0],
    renew: ['reinstated', 'pending', 1, 1],
    finish: ['finished', 'completed', 1, 0],
  },
  running: {
    admit: ['admitted', 'running', 1, 1],
    'admit, other run': ['replayed', 'running', 1, 1],
    commit: ['already', 'running', 1, 1],
    'commit, other run': ['superseded', 'running', 1, 1],
    refund: ['refunded', 'refunded', 0, 0],
    'refund, other run': ['nothing', 'running', 1, 1],
    renew: ['renewed', 'running', 1, 1],
    finish: ['finished', 'completed', 1, 0],
  },
  unheld: {
    admit: ['admitted', 'running', 1, 0],
    'admit, other run': ['replayed', 'running', 1, 0],
    commit: ['already', 'running', 1, 0],
    'commit, other run': ['superseded', 'running', 1, 0],
    refund: ['refunded', 'refunded', 0, 0],
    'refund, other run': ['nothing', 'running', 1, 0],
    renew: ['reinstated', 'running', 1, 1],
    finish: ['finished', 'completed', 1, 0],
  },
  overdue: {
    admit: ['admitted', 'running', 1, 0],
    'admit, other run': ['replayed', 'running', 1, 0],
    commit: ['already', 'running', 1, 0],
    'commit, other run': ['superseded', 'running', 1, 0],
    refund: ['refunded', 'refunded', 0, 0],
    'refund, other run': ['nothing', 'running', 1, 0],
    renew: ['overrun', 'running', 1, 0],
    finish: ['finished', 'completed', 1, 0],
  },
  finished: {
    admit: ['admitted', 'completed', 1, 0],
    'admit, other run': ['replayed', 'completed', 1, 0],
    commit: ['finished', 'completed', 1, 0],
    'commit, other run': ['superseded', 'completed', 1, 0],
    refund: ['nothing', 'completed', 1, 0],
    'refund, other run': ['nothing', 'completed', 1, 0],
    renew: ['finished', 'completed', 1, 0],
    finish: ['already', 'completed', 1, 0],
  },
  refunded: {
    admit: ['admitted', 'pending', 1, 1],
    'admit, other run': ['admitted', 'pending', 1, 1],
    commit: ['refunded', 'refunded', 0, 0],
    'commit, other run': ['superseded', 'refunded', 0, 0],
    refund: ['nothing', 'refunded', 0, 0],
    'refund, other run': ['nothing', 'refunded', 0, 0],
    renew: ['refunded', 'refunded', 0, 0],
    finish: ['refunded', 'refunded', 0, 0],
  },
};

export function stateContract({ describe, test }: Suite): void {
  for (const [state, cells] of Object.entries(stateTable)) {
    describe(`a job that is ${state}`, () => {
      for (const [operation, [answer, after, usedRate, usedSlots]] of Object.entries(cells)) {
        test(`${operation}: ${answer}`, async ({ store, advance }) => {
          const job = request(terms);
          await reach[state]!(store, job, advance);
          assert.equal(await operations[operation]!(store, job), answer);
          assert.equal((await store.job(job.ref))?.state ?? 'unknown', after);
          assert.deepEqual(await usedOf(store, terms), { 'creation-rate': usedRate, concurrency: usedSlots });
        });
      }
    });
  }
}
