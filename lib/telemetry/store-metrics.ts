import { JobLimitsError } from '../errors.js';
import { AttributeSets } from './attribute-sets.js';
import type { Meter } from './meter.js';
import type { Recorders } from './recorders.js';

interface StoreEvents {
  'store-answered': { operation: string; durationMs: number };
  'store-error': { operation: string; error: unknown };
  'store-switched': { to: string };
  'journal-written': { adopted: number; dropped: number };
  'records-dropped': { count: number };
}

/** From half a millisecond, what a store next door takes, to what calls have for an answer. */
const SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

export function storeRecorders(meter: Meter): Recorders<StoreEvents> {
  const duration = meter.createHistogram('job_limits.store.duration', {
    description: 'How long the store took to answer',
    unit: 's',
    advice: { explicitBucketBoundaries: SECONDS },
  });
  const errors = meter.createCounter('job_limits.store.errors', {
    description: 'Calls that the store failed at',
    unit: '{error}',
  });
  const switches = meter.createCounter('job_limits.store.switches', {
    description: 'Changes of who decides: the store, or what stands in for it',
    unit: '{switch}',
  });
  const journal = meter.createCounter('job_limits.store.journal', {
    description: 'What the store was told on its return',
    unit: '{entry}',
  });
  const recordsDropped = meter.createCounter('job_limits.store.records_dropped', {
    description: 'Records that a bounded store had to forget',
    unit: '{record}',
  });
  const answered = new AttributeSets(['operation']);
  const failed = new AttributeSets(['operation', 'error.type']);
  const switched = new AttributeSets(['to']);
  const written = new AttributeSets(['entry']);
  const isNew = onceEach();
  return {
    'store-answered': ({ operation, durationMs }) =>
      duration.record(durationMs / 1000, answered.of(operation)),
    'store-error'({ operation, error }) {
      const type = error instanceof JobLimitsError ? error.code : '_OTHER';
      if (isNew(error)) errors.add(1, failed.of(operation, type));
    },
    'store-switched': ({ to }) => switches.add(1, switched.of(to)),
    'journal-written'({ adopted, dropped }) {
      journal.add(adopted, written.of('adopted'));
      journal.add(dropped, written.of('dropped'));
    },
    'records-dropped': ({ count }) => recordsDropped.add(count),
  };
}

/** Whether an error is told for the first time: the store tells of a failure, and so does the middleware that it reaches. */
function onceEach(): (error: unknown) => boolean {
  const told = new WeakSet<object>();
  return (error) => {
    if (typeof error !== 'object' || error === null) return true;
    const isNew = !told.has(error);
    told.add(error);
    return isNew;
  };
}
