import {
  AggregationTemporality,
  InMemoryMetricExporter,
  MeterProvider,
  PeriodicExportingMetricReader,
} from '@opentelemetry/sdk-metrics';
import express, { type Express, type RequestHandler } from 'express';
import { rateLimit } from 'express-rate-limit';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import {
  jobLimits,
  type AdmissionOptions,
  type JobLimitsOptions,
  type JobRef,
  type Plan,
} from 'express-job-limits';

/** How the customer's limits are set: never reached, or used up by the first request. */
export type Load = 'allowed' | 'refused';

const limitOf = (load: Load): number => (load === 'allowed' ? 250 : 1);

export const variants: Record<string, (load: Load) => Express> = {
  bare: () => appWith(),
  'no-op middleware': () => appWith((_req, _res, next) => next()),
  'express-rate-limit (its default key, the IP)': (load) =>
    appWith(
      rateLimit({
        windowMs: 60_000,
        limit: load === 'allowed' ? 1e9 : 1,
        standardHeaders: 'draft-8',
        legacyHeaders: false,
      }),
    ),
  'express-rate-limit': (load) =>
    appWith(
      rateLimit({
        windowMs: 60_000,
        limit: limitOf(load),
        standardHeaders: 'draft-8',
        legacyHeaders: false,
        keyGenerator: (req) => req.get('x-customer')!,
      }),
    ),
  'rate-limiter-flexible': (load) => {
    const limiter = new RateLimiterMemory({ points: limitOf(load), duration: 60 });
    return appWith((req, res, next) => {
      limiter.consume(req.get('x-customer')!).then(
        () => next(),
        (refusal: { msBeforeNext: number }) => {
          res.set('Retry-After', String(Math.ceil(refusal.msBeforeNext / 1000)));
          res.status(429).json({ error: 'RATE_LIMIT_REACHED' });
        },
      );
    });
  },
  admission: (load) => admitting(load),
  'admission, three quotas': (load) =>
    admitting(load, {
      quotas: (['hour', 'day', 'month'] as const).map((per) => ({ unit: 'jobs', limit: 1e9, per })),
    }),
  'admission, three quotas of other units': (load) =>
    admitting(
      load,
      { quotas: ['seconds', 'pages', 'bytes'].map((unit) => ({ unit, limit: 1e12, per: 'month' as const })) },
      { cost: () => ({ seconds: 600, pages: 3, bytes: 1e6 }) },
    ),
  'admission, recording metrics': (load) => {
    const reader = new PeriodicExportingMetricReader({
      exporter: new InMemoryMetricExporter(AggregationTemporality.CUMULATIVE),
    });
    const telemetry = { meterProvider: new MeterProvider({ readers: [reader] }) };
    return admitting(load, {}, {}, { telemetry });
  },
};

function admitting(
  load: Load,
  more: Plan = {},
  options: AdmissionOptions = {},
  shared: Pick<JobLimitsOptions, 'telemetry'> = {},
): Express {
  const limits = jobLimits({
    customer: (req) => req.get('x-customer'),
    plans: {
      free: { creationRate: { limit: limitOf(load), window: '1m' }, concurrency: { limit: 250 }, ...more },
    },
    ...shared,
  });
  let running: JobRef | undefined;
  return appWith(limits.admission(options), (req, res) => {
    res.status(201).json({ ok: true });
    // Each request ends the job of the one before: what a worker calls is part of what a job costs.
    if (running !== undefined) void limits.finish(running, { state: 'completed' });
    running = limits.job(req).ref;
  });
}

function appWith(...handlers: RequestHandler[]): Express {
  const app = express();
  const create: RequestHandler = (_req, res) => void res.status(201).json({ ok: true });
  app.post('/jobs', ...handlers, create);
  return app;
}
