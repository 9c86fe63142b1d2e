import { ConfigError, jobLifecycle, ManualClock, MemoryStore, type SweepOptions } from '../../lib/index.js';
import { sweeperSuite } from './sweeper-suite.js';

describe('a sweeper on MemoryStore', () => {
  sweeperSuite(() => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    return { store, clock, advance: (ms) => clock.advance(ms), dispose: () => store.close() };
  });
});

const onExpire = (): undefined => undefined;

it.each<[object, string]>([
  [{}, 'sweep.onExpire'],
  [{ onExpire, batch: 1_001 }, 'sweep.batch'],
  [{ onExpire, everyMs: '30d' }, 'sweep.everyMs'],
  [{ onExpire, leaseMs: 999 }, 'sweep.leaseMs'],
  [{ onExpire, concurrency: 0 }, 'sweep.concurrency'],
  [{ onExpire, signal: {} }, 'sweep.signal'],
])('options %j are refused', (options, option) => {
  const jobs = jobLifecycle({ store: new MemoryStore() });
  expect(() => jobs.sweep(options as SweepOptions)).toThrow(ConfigError);
  expect(() => jobs.sweep(options as SweepOptions)).toThrow(option);
});
