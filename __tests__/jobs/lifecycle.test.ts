import {
  ConfigError,
  jobLifecycle,
  jobLimits,
  ManualClock,
  MemoryStore,
  type JobLifecycleOptions,
  type JobOutcome,
} from '../../lib/index.js';
import { finished, keptTerms } from '../../lib/testing/contract/kept-jobs.js';
import { HOUR } from '../../lib/testing/harness.js';
import { spawned } from '../support/spawned.js';
import { lifecycleSuite } from './lifecycle-suite.js';
import { recorded, runningJob } from './swept-store.js';

describe('jobLifecycle on MemoryStore', () => {
  lifecycleSuite(() => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    return { store, clock, advance: (ms) => clock.advance(ms), dispose: () => store.close() };
  });
});

const ref = { customer: 'acme', id: 'one' };

describe('what a caller gets wrong is told at once, and nothing happens', () => {
  const jobs = jobLifecycle({ store: new MemoryStore() });

  it.each<[unknown, string]>([
    [undefined, 'JOB_STATE_INVALID'],
    [{}, 'JOB_STATE_INVALID'],
    [{ state: 'done' }, 'JOB_STATE_INVALID'],
    [{ state: 'running' }, 'JOB_STATE_INVALID'],
    [{ state: 'completed', units: [] }, 'JOB_UNITS_INVALID'],
    [{ state: 'completed', units: 5 }, 'JOB_UNITS_INVALID'],
    [{ state: 'completed', units: null }, 'JOB_UNITS_INVALID'],
    [{ state: 'completed', units: { seconds: -1 } }, 'JOB_UNITS_INVALID'],
    [{ state: 'completed', units: { seconds: 0.5 } }, 'JOB_UNITS_INVALID'],
    [{ state: 'completed', units: { seconds: '5' } }, 'JOB_UNITS_INVALID'],
    [{ state: 'completed', units: { seconds: 2 ** 53 } }, 'JOB_UNITS_INVALID'],
    [{ state: 'completed', retention: '1h' }, 'CONFIG_INVALID_OPTION'],
    [{ state: 'completed', retention: { results: '60' } }, 'CONFIG_BAD_DURATION'],
    [{ state: 'completed', retention: { results: '2h', metadata: '1h' } }, 'CONFIG_BAD_DURATION'],
  ])('finish with %j: %s', async (outcome, code) => {
    await expect(jobs.finish(ref, outcome as JobOutcome)).rejects.toMatchObject({ code });
  });

  const wrongRefs = [
    undefined,
    null,
    'one',
    {},
    { id: 'one' },
    { customer: 'acme', id: 7 },
    { customer: '', id: 'x' },
  ];
  it.each(wrongRefs)('the ref %j: JOB_REF_INVALID, in all that takes one', async (wrong) => {
    const given = wrong as typeof ref;
    for (const call of [
      () => jobs.finish(given, { state: 'completed' }),
      () => jobs.renew(given),
      () => jobs.renewWhile(given, () => Promise.reject(new Error('was called'))),
      () => jobs.jobs.get(given),
      () => jobs.pin(given, 'why'),
      () => jobs.unpin(given),
      () => jobs.extend(given, new Date()),
      () => jobs.expireNow(given),
    ]) {
      await expect(call()).rejects.toMatchObject({ code: 'JOB_REF_INVALID', status: 400 });
    }
  });

  it.each([undefined, '', 7, 'x'.repeat(501)])(
    'pin for the reason %j: JOB_REASON_INVALID',
    async (reason) => {
      await expect(jobs.pin(ref, reason as string)).rejects.toMatchObject({ code: 'JOB_REASON_INVALID' });
    },
  );

  it.each([undefined, NaN, -1, 1.5, 9e15, Infinity, 'tomorrow', '5', new Date('never'), {}])(
    'extend to %p: JOB_DATE_INVALID',
    async (to) => {
      await expect(jobs.extend(ref, to as string)).rejects.toMatchObject({ code: 'JOB_DATE_INVALID' });
    },
  );

  it.each([-1, 1.5, 1_001, Infinity, '10'])('list as many as %p: a ConfigError', async (most) => {
    await expect(jobs.jobs.list('acme', most as number)).rejects.toThrow(ConfigError);
  });

  it('a customer that is none: CUSTOMER_INVALID', async () => {
    await expect(jobs.jobs.list('')).rejects.toMatchObject({ code: 'CUSTOMER_INVALID' });
  });

  it.each<[object, string]>([
    [{}, 'jobLifecycle.store'],
    [{ store: {} }, 'jobLifecycle.store'],
    [{ store: new MemoryStore(), plans: {} }, 'jobLifecycle.plans'],
  ])('options %#', (options, option) => {
    expect(() => jobLifecycle(options as JobLifecycleOptions)).toThrow(option);
  });

  it.each([{ every: 999 }, { every: '30d' }, { interval: '1m' }])('renewWhile with %j', async (options) => {
    await expect(jobs.renewWhile(ref, () => Promise.resolve(1), options)).rejects.toThrow(ConfigError);
  });
});

describe('renewWhile', () => {
  const clock = new ManualClock();
  const jobs = jobLifecycle({ store: new MemoryStore({ clock }), clock });

  it.each([
    [
      'throws',
      (): Promise<void> => {
        throw new Error('broken');
      },
    ],
    ['rejects', (): Promise<void> => Promise.reject(new Error('broken'))],
  ])('passes on what the work %s, and renews no more', async (_how, work) => {
    const answers: string[] = [];
    jobs.on('renew', ({ answer }) => answers.push(answer));
    await expect(jobs.renewWhile(ref, work)).rejects.toThrow('broken');
    clock.advance(HOUR);
    expect(answers).toEqual([]);
  });
});

describe('events', () => {
  it('come to workers from their store too', async () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const jobs = jobLifecycle({ store, clock });
    const lapsed: unknown[] = [];
    const listener = (event: unknown): void => void lapsed.push(event);
    jobs.on('lapsed', listener);
    await store.admit({ ref, run: 'one', terms: keptTerms() });
    clock.advance(HOUR);
    expect(lapsed).toEqual([{ ref }]);
    jobs.off('lapsed', listener);
    await store.admit({ ref, run: 'two', terms: keptTerms() });
    clock.advance(HOUR);
    expect(lapsed).toHaveLength(1);
  });

  it('whose listeners throw change nothing, and become warnings', async () => {
    const warn = jest.spyOn(process, 'emitWarning').mockImplementation();
    const store = new MemoryStore();
    const jobs = jobLifecycle({ store });
    jobs.on('finish', () => {
      throw new Error('no disk');
    });
    const running = await runningJob(store);
    expect(await jobs.finish(running, { state: 'completed' })).toBe('finished');
    expect(warn.mock.calls).toEqual([
      ["A listener of 'finish' threw: Error: no disk", { code: 'LISTENER_FAILED' }],
    ]);
    warn.mockRestore();
  });
});

describe('close', () => {
  const make = (): { clock: ManualClock; store: MemoryStore } => {
    const clock = new ManualClock();
    return { clock, store: new MemoryStore({ clock }) };
  };

  it('of jobLifecycle stops its sweepers and hears no more of the store, which stays open', async () => {
    const { clock, store } = make();
    const jobs = jobLifecycle({ store, clock });
    const { told } = recorded(jobs);
    const lapsed: unknown[] = [];
    jobs.on('lapsed', (event) => lapsed.push(event));
    const called: unknown[] = [];
    const sweeper = jobs.sweep({ onExpire: (job) => called.push(job) });
    await sweeper.turn();
    await jobs.close();
    told.length = 0;
    await finished(store);
    await store.admit({ ref, run: 'one', terms: keptTerms() });
    clock.advance(HOUR);
    await new Promise((resolve) => setImmediate(resolve));
    expect([called, told, lapsed]).toEqual([[], [], []]);
    expect((await store.job(ref))?.state).toBe('lapsed');
  });

  it('of jobLimits stops its sweepers before it closes the store', async () => {
    const clock = new ManualClock();
    const limits = jobLimits({ clock, customer: () => 'acme', plans: { free: {} } });
    const events: string[] = [];
    limits.on('swept', () => events.push('swept'));
    limits.on('store-error', () => events.push('store-error'));
    limits.sweep({ onExpire: () => undefined, everyMs: '1s' });
    await limits.close();
    events.length = 0;
    clock.advance(10_000);
    await new Promise((resolve) => setImmediate(resolve));
    expect(events).toEqual([]);
  });
});

it('a worker needs no Express', async () => {
  const worker = spawned(process.execPath, ['--import', 'tsx', '__tests__/jobs/worker-without-express.cjs']);
  expect(await worker.ended()).toBe(0);
  expect(JSON.parse(worker.output())).toEqual({
    deleted: ['one'],
    told: ['renew', 'finish', 'expired'],
    express: false,
  });
});
