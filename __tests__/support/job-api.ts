import type { AddressInfo } from 'node:net';
import { createServer, type Server } from 'node:http';
import type { Express, Request, Response, RequestHandler } from 'express';
import {
  jobLimits,
  ManualClock,
  MemoryStore,
  type JobLimits,
  type JobLimitsOptions,
} from '../../lib/index.js';
import { jsonErrors } from './apps.js';

export interface JobApi {
  app: Express;
  clock: ManualClock;
  store: MemoryStore;
  limits: JobLimits;
  /** How much of each limit `acme` uses. */
  used: (customer?: string) => Promise<Record<string, number>>;
}

/** An app whose `POST /jobs` is limited to 5 a minute and 3 running, with the given handlers behind the admission. */
export function jobApi(
  express: () => Express,
  handlers: (limits: JobLimits) => RequestHandler[],
  options: Partial<JobLimitsOptions> = {},
): JobApi {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock });
  const limits = jobLimits({
    clock,
    store,
    customer: (req) => req.get('x-customer') ?? 'acme',
    plans: { free: { creationRate: { limit: 5, window: '1m' }, concurrency: { limit: 3 } } },
    ...options,
  });
  const app = express();
  app.post('/jobs', ...handlers(limits));
  app.get('/limits', limits.usage());
  jsonErrors(app);
  return {
    app,
    clock,
    store,
    limits,
    async used(customer = 'acme') {
      const usage = await limits.usageOf(customer);
      return Object.fromEntries(usage.limits.map(({ name, used }) => [name, used]));
    },
  };
}

export const created = (_req: Request, res: Response): void => void res.status(201).json({ ok: true });

/** Listens on a free port until `close` is called, which also ends open connections. */
export async function listen(
  app: Express,
): Promise<{ port: number; server: Server; close: () => Promise<void> }> {
  const server = createServer(app);
  await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
  return {
    port: (server.address() as AddressInfo).port,
    server,
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** Lets the event loop turn until it is so; fails by the test's own time limit. */
export async function until(condition: () => boolean | Promise<boolean>): Promise<void> {
  while (!(await condition())) await new Promise((resolve) => setImmediate(resolve));
}
