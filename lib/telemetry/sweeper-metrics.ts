import { AttributeSets } from './attribute-sets.js';
import type { Meter } from './meter.js';
import type { Recorders } from './recorders.js';

interface SweeperEvents {
  swept: { done: number; lagMs: number };
  'expiry-failed': { retryInMs: number | null };
  unswept: object;
}

/** From a second, where sweeping is on time, to days. */
const LAG_SECONDS = [1, 10, 30, 60, 300, 900, 3_600, 21_600, 86_400, 259_200];

export function sweeperRecorders(meter: Meter): Recorders<SweeperEvents> {
  const lag = meter.createHistogram('job_limits.sweeper.lag', {
    description: 'How late the latest task of each turn was',
    unit: 's',
    advice: { explicitBucketBoundaries: LAG_SECONDS },
  });
  const tasks = meter.createCounter('job_limits.sweeper.tasks', {
    description: 'What became of jobs to be ended, announced or deleted',
    unit: '{task}',
  });
  const unswept = meter.createCounter('job_limits.sweeper.missing', {
    description: 'How often the store told that nobody sweeps',
    unit: '{event}',
  });
  const became = new AttributeSets(['outcome']);
  return {
    swept({ done, lagMs }) {
      lag.record(lagMs / 1000);
      tasks.add(done, became.of('done'));
    },
    'expiry-failed': ({ retryInMs }) => tasks.add(1, became.of(retryInMs === null ? 'given-up' : 'failed')),
    unswept: () => unswept.add(1),
  };
}
