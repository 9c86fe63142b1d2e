import { StoreError } from '../../lib/errors.js';
import type { LimitStore, Terms } from '../../lib/stores/store.js';
import { randomId } from '../../lib/jobs/job-id.js';

/** What a load saw. */
export interface LoadReport {
  admitted: number;
  refused: number;
  replayed: number;
  /** Failures by code. */
  failures: Record<string, number>;
  /** Errors that a store must not throw. */
  strange: unknown[];
  /** The longest that a call took, ms. */
  longestMs: number;
  /** The most jobs that ran at once for one customer: from the answer of admit until finish is called. */
  mostRunning: number;
}

export interface Load {
  report: LoadReport;
  /** Jobs that run now. */
  running: Map<string, { customer: string; id: string }>;
  stop: () => Promise<void>;
}

export interface LoadOptions {
  customers: string[];
  terms: Terms;
  workers?: number;
  /** How long a job runs. */
  runMs?: number;
  /** Waited between two admissions of a worker. */
  paceMs?: number;
}

const sleep = (ms: number): Promise<void> => new Promise((resolve) => setTimeout(resolve, ms));

/** Admits, commits and finishes jobs as an API does, until it is stopped. */
export function startLoad(
  store: LimitStore,
  { customers, terms, workers = 8, runMs = 200, paceMs = 2 }: LoadOptions,
): Load {
  const report: LoadReport = {
    admitted: 0,
    refused: 0,
    replayed: 0,
    failures: {},
    strange: [],
    longestMs: 0,
    mostRunning: 0,
  };
  const running = new Map<string, { customer: string; id: string }>();
  const ending = new Set<Promise<void>>();
  let stopped = false;

  async function call<T>(run: () => Promise<T>): Promise<T | undefined> {
    const start = performance.now();
    try {
      return await run();
    } catch (error) {
      if (!(error instanceof StoreError)) report.strange.push(error);
      else report.failures[error.code] = (report.failures[error.code] ?? 0) + 1;
      return undefined;
    } finally {
      report.longestMs = Math.max(report.longestMs, performance.now() - start);
    }
  }

  async function finishLater(ref: { customer: string; id: string }): Promise<void> {
    await sleep(runMs);
    running.delete(ref.id);
    while ((await call(() => store.finish(ref, { state: 'completed' }))) === undefined && !stopped) {
      await sleep(50);
    }
  }

  async function worker(index: number): Promise<void> {
    for (let i = index; !stopped; i += 1) {
      const ref = { customer: customers[i % customers.length]!, id: randomId() };
      const decision = await call(() => store.admit({ ref, run: ref.id, terms }));
      if (decision?.allowed === false) report.refused += 1;
      if (decision?.allowed && decision.replayed) report.replayed += 1;
      if (decision?.allowed && !decision.replayed) {
        report.admitted += 1;
        running.set(ref.id, ref);
        const ofCustomer = [...running.values()].filter(({ customer }) => customer === ref.customer).length;
        report.mostRunning = Math.max(report.mostRunning, ofCustomer);
        await call(() => store.commit(ref, ref.id));
        const ended = finishLater(ref);
        ending.add(ended);
        void ended.finally(() => ending.delete(ended));
      }
      await sleep(paceMs);
    }
  }

  const all = Array.from({ length: workers }, (_, index) => worker(index));
  return {
    report,
    running,
    async stop() {
      stopped = true;
      await Promise.all(all);
      await Promise.all(ending);
    },
  };
}
