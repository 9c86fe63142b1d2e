import { DataPointType, MeterProvider, MetricReader, type ResourceMetrics } from '@opentelemetry/sdk-metrics';

/** A reader that reads when it is told to. */
class Reader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}

export interface Metrics {
  /** OpenTelemetry's own, for `telemetry: { meterProvider }`. */
  meterProvider: MeterProvider;
  collect: () => Promise<ResourceMetrics>;
  /** Every series as `name{attribute=value,…}`, with its value; of a histogram, how often it was recorded. */
  series: (prefix?: string) => Promise<Record<string, number>>;
}

export function collectMetrics(): Metrics {
  const reader = new Reader();
  const meterProvider = new MeterProvider({ readers: [reader] });
  const collect = async (): Promise<ResourceMetrics> => {
    const { resourceMetrics, errors } = await reader.collect();
    expect(errors).toEqual([]);
    return resourceMetrics;
  };
  return {
    meterProvider,
    collect,
    async series(prefix = '') {
      const series: Record<string, number> = {};
      for (const { metrics } of (await collect()).scopeMetrics) {
        for (const { descriptor, dataPointType, dataPoints } of metrics) {
          for (const { attributes, value } of dataPoints) {
            const labels = Object.entries(attributes).map(([key, word]) => `${key}=${String(word)}`);
            const name = `${descriptor.name}{${labels.join(',')}}`;
            if (!name.startsWith(`job_limits.${prefix}`)) continue;
            series[name.slice('job_limits.'.length)] =
              dataPointType === DataPointType.HISTOGRAM
                ? (value as { count: number }).count
                : (value as number);
          }
        }
      }
      return series;
    },
  };
}
