import type { AddressInfo } from 'node:net';
import express from 'express';
import { jobLimits } from '../../lib/index.js';

export interface FleetServerOptions {
  creationRate: { limit: number; windowMs: number };
  running: number;
  /** How long each job runs. */
  jobMs: number;
  deniedStatus?: 413 | 429;
}

export interface FleetServer {
  url: string;
  /** How often each job was made, by the number in its request's body. */
  made: Map<number, number>;
  /** How many creations were refused. */
  refused(): number;
  close(): Promise<void>;
}

/** An API that makes jobs for one customer, limited by this package's admission, with `Idempotency-Key`. */
export async function makeServer(options: FleetServerOptions): Promise<FleetServer> {
  const { creationRate, running, jobMs, deniedStatus = 413 } = options;
  const timers = new Set<NodeJS.Timeout>();
  const made = new Map<number, number>();
  const byId = new Map<string, number>();
  let refused = 0;

  const limits = jobLimits({
    deniedStatus,
    customer: () => 'acme',
    plans: {
      free: {
        creationRate: { limit: creationRate.limit, window: creationRate.windowMs },
        concurrency: { limit: running },
      },
    },
  });
  limits.on('decision', ({ decision }) => {
    if (!decision.allowed) refused++;
  });

  const app = express();
  app.post(
    '/jobs',
    limits.admission({
      idempotency: true,
      onReplay: ({ ref }, _req, res) => res.status(200).json({ job: byId.get(ref.id) }),
    }),
    express.json(),
    async (req, res) => {
      const { job } = req.body as { job: number };
      await limits.job(req).commit((ref) => {
        made.set(job, (made.get(job) ?? 0) + 1);
        byId.set(ref.id, job);
        const timer = setTimeout(() => {
          timers.delete(timer);
          void limits.finish(ref, { state: 'completed' });
        }, jobMs);
        timers.add(timer);
      });
      res.status(201).json({ job });
    },
  );

  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jobs`,
    made,
    refused: () => refused,
    async close() {
      for (const timer of timers) clearTimeout(timer);
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
      await limits.close();
    },
  };
}
