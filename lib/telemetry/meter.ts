import { ConfigError } from '../errors.js';
import { checkOptions, having, type Check } from '../options.js';

/** What tells one series of an instrument from another. */
export type Attributes = Readonly<Record<string, string>>;

interface InstrumentOptions {
  description: string;
  unit: string;
  advice?: { explicitBucketBoundaries: number[] };
}

interface Counter {
  add(value: number, attributes?: Attributes): void;
}

interface Histogram {
  record(value: number, attributes?: Attributes): void;
}

interface Observable {
  addCallback(callback: (result: { observe(value: number): void }) => void): void;
}

/** What is used of OpenTelemetry's `Meter`. Spelled out, so that types are there for hosts that don't have it. */
export interface Meter {
  createCounter(name: string, options: InstrumentOptions): Counter;
  createUpDownCounter(name: string, options: InstrumentOptions): Counter;
  createHistogram(name: string, options: InstrumentOptions): Histogram;
  createObservableGauge(name: string, options: InstrumentOptions): Observable;
  createObservableCounter(name: string, options: InstrumentOptions): Observable;
}

/** What is used of OpenTelemetry's `MeterProvider`. */
export interface MeterProvider {
  getMeter(name: string): Meter;
}

export interface TelemetryOptions {
  /** Where metrics go, such as a `MeterProvider` of `@opentelemetry/sdk-metrics`. */
  meterProvider: MeterProvider;
}

export const checkTelemetry: Check<false | TelemetryOptions> = (value, option) => {
  if (value === false) return false;
  if (typeof value !== 'object') {
    throw new ConfigError('CONFIG_INVALID_OPTION', option, 'false, or { meterProvider }', value);
  }
  return checkOptions<TelemetryOptions>(option, value, {
    meterProvider: having<MeterProvider>("OpenTelemetry's MeterProvider", 'getMeter'),
  });
};

/** The instrumentation scope of all instruments. */
const SCOPE = 'express-job-limits';

/** The meter of the given provider or, where none is given, of the one that the host has registered, if it has. */
export function meterOf(telemetry: false | TelemetryOptions | undefined): Meter | undefined {
  if (telemetry === false) return undefined;
  if (telemetry !== undefined) return telemetry.meterProvider.getMeter(SCOPE);
  const api = loadApi();
  const meter = api?.metrics.getMeter(SCOPE);
  // What a host without a provider gets: nothing need be counted for it.
  return meter === api?.createNoopMeter() ? undefined : meter;
}

interface Api {
  metrics: MeterProvider;
  createNoopMeter(): Meter;
}

function loadApi(): Api | undefined {
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- an import could not fail
    return require('@opentelemetry/api') as Api;
  } catch {
    return undefined;
  }
}
