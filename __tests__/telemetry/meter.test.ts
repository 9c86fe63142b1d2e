import { join } from 'node:path';
import { createNoopMeter, metrics as api } from '@opentelemetry/api';
import { ConfigError, jobLimits, type JobLimitsOptions } from '../../lib/index.js';
import { collectMetrics } from '../support/metrics.js';
import { spawned } from '../support/spawned.js';

const customer = () => 'acme';

/** The metrics after a job was ended that nobody knows. */
async function recorded(telemetry: Pick<JobLimitsOptions, 'telemetry'> = {}) {
  const limits = jobLimits({ customer, ...telemetry });
  await limits.finish({ customer: 'acme', id: 'a' }, { state: 'completed' });
  await limits.close();
}

const unknown = { 'job.events{event=finish,answer=unknown,state=completed}': 1 };

describe('metrics go', () => {
  afterEach(() => api.disable());

  it('to the provider that the host has registered', async () => {
    const { meterProvider, series } = collectMetrics();
    api.setGlobalMeterProvider(meterProvider);
    await recorded();
    expect(await series()).toEqual(unknown);
  });

  it('nowhere when it registers one after jobLimits()', async () => {
    const { meterProvider, series } = collectMetrics();
    const limits = jobLimits({ customer });
    api.setGlobalMeterProvider(meterProvider);
    await limits.finish({ customer: 'acme', id: 'a' }, { state: 'completed' });
    await limits.close();
    expect(await series()).toEqual({});
  });

  it('nowhere when there is none: not even the meter that does nothing is asked', async () => {
    const create = jest.spyOn(createNoopMeter(), 'createCounter');
    await recorded();
    expect(create).not.toHaveBeenCalled();
    create.mockRestore();
  });

  it('to the one that is given, and to no other', async () => {
    const [registered, given] = [collectMetrics(), collectMetrics()];
    api.setGlobalMeterProvider(registered.meterProvider);
    await recorded({ telemetry: { meterProvider: given.meterProvider } });
    expect(await registered.series()).toEqual({});
    expect(await given.series()).toEqual(unknown);
  });

  it('nowhere with `telemetry: false`', async () => {
    const { meterProvider, series } = collectMetrics();
    api.setGlobalMeterProvider(meterProvider);
    await recorded({ telemetry: false });
    expect(await series()).toEqual({});
  });
});

it.each([
  [true, 'jobLimits.telemetry', 'CONFIG_INVALID_OPTION'],
  [null, 'jobLimits.telemetry', 'CONFIG_INVALID_OPTION'],
  [{}, 'jobLimits.telemetry.meterProvider', 'CONFIG_MISSING_OPTION'],
  [{ meterProvider: {} }, 'jobLimits.telemetry.meterProvider', 'CONFIG_INVALID_OPTION'],
  [{ meter: {} }, 'jobLimits.telemetry.meter', 'CONFIG_UNKNOWN_OPTION'],
])('telemetry: %j is refused', (telemetry, option, code) => {
  const make = () => jobLimits({ customer, telemetry: telemetry as never });
  expect(make).toThrow(ConfigError);
  expect(make).toThrow(expect.objectContaining({ option, code }) as Error);
});

describe('a host', () => {
  // A process of its own takes seconds on a busy machine.
  jest.setTimeout(30_000);

  it.each([
    [
      'that has not installed @opentelemetry/api',
      false,
      ['--require', join(__dirname, '../support/without-opentelemetry.cjs')],
    ],
    ['that has it and no provider', true, []],
  ])('%s has its limits without an error', async (_what, hasApi, args) => {
    const child = spawned(process.execPath, [...args, '--import', 'tsx', '__tests__/support/one-job.ts']);
    expect(await child.ended()).toBe(0);
    expect(JSON.parse(child.output())).toEqual({ api: hasApi, statuses: [201, 413], answer: 'finished' });
  });
});
