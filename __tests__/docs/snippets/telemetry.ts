import { MetricReader } from '@opentelemetry/sdk-metrics';
import { authenticate, host } from './host.js';

const { app } = host();

class Reader extends MetricReader {
  protected override async onForceFlush(): Promise<void> {}
  protected override async onShutdown(): Promise<void> {}
}
const exporter = new Reader();
const plans = { free: { creationRate: { limit: 1, window: '1m' } } } as const;

// #region register
import { metrics } from '@opentelemetry/api';
import { MeterProvider } from '@opentelemetry/sdk-metrics';
import { jobLimits } from 'express-job-limits';

metrics.setGlobalMeterProvider(new MeterProvider({ readers: [exporter] })); // before jobLimits()

const limits = jobLimits({ customer: (req) => req.user?.accountId, plans });
// #endregion

app.post('/jobs', authenticate, limits.admission(), (_req, res) => {
  res.status(201).end();
});

const counted: Record<string, number> = {};
const statsd = {
  increment(name: string): void {
    counted[name] = (counted[name] ?? 0) + 1;
  },
};

// #region events
limits.on('decision', ({ plan, decision, shadow }) => {
  statsd.increment(`limits.${plan}.${decision.allowed ? 'allowed' : 'refused'}`);
  if (shadow) statsd.increment(`limits.${plan}.shadow`);
});
// #endregion

export { app, counted, exporter, limits };
