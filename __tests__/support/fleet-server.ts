import type { AddressInfo } from 'node:net';
import express from 'express';
import type { Refusal } from '../../lib/decision.js';
import { answerRefusal, answerSettings } from '../../lib/http/answers.js';

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

/** An API that makes jobs for one customer: exact creation rate, slots for running jobs, `Idempotency-Key`. */
export async function makeServer(options: FleetServerOptions): Promise<FleetServer> {
  const { creationRate, running, jobMs, deniedStatus = 413 } = options;
  const settings = answerSettings({ deniedStatus });
  const admitted: number[] = [];
  const freed: number[] = [];
  const timers = new Set<NodeJS.Timeout>();
  const byKey = new Map<string, number>();
  const made = new Map<number, number>();
  let refused = 0;

  const state = (now: number): Refusal | undefined => {
    while (admitted.length > 0 && admitted[0]! <= now - creationRate.windowMs) admitted.shift();
    const rateMs = admitted.length < creationRate.limit ? 0 : admitted[0]! + creationRate.windowMs - now;
    const slotMs = timers.size < running ? 0 : estimate(freed);
    if (rateMs === 0 && slotMs === 0) return undefined;
    const limit = rateMs > slotMs ? 'creation-rate' : 'concurrency';
    return {
      allowed: false,
      code: 'RATE_LIMIT_REACHED',
      message: 'Request limit reached',
      limit,
      violated: [rateMs > 0 ? 'creation-rate' : '', slotMs > 0 ? 'concurrency' : ''].filter(Boolean),
      retryAfterMs: Math.max(rateMs, slotMs),
      estimated: limit === 'concurrency',
    };
  };

  const rateLimit = (now: number): string => {
    const reset = admitted.length === 0 ? 0 : Math.ceil((admitted[0]! + creationRate.windowMs - now) / 1000);
    return `"creation-rate";r=${creationRate.limit - admitted.length};t=${reset}, "concurrency";r=${running - timers.size}`;
  };

  const app = express().use(express.json());
  app.post('/jobs', (req, res) => {
    const key = req.get('Idempotency-Key');
    const known = key === undefined ? undefined : byKey.get(key);
    if (known !== undefined) return void res.status(200).json({ job: known });

    const now = performance.now();
    const refusal = state(now);
    if (refusal !== undefined) {
      refused++;
      const answer = answerRefusal(refusal, settings, req, Date.now());
      return void res
        .status(answer.status)
        .set({ ...answer.headers, RateLimit: rateLimit(now) })
        .json(answer.body);
    }
    const { job } = req.body as { job: number };
    admitted.push(now);
    made.set(job, (made.get(job) ?? 0) + 1);
    if (key !== undefined) byKey.set(key, job);
    const timer = setTimeout(() => {
      timers.delete(timer);
      freed.push(performance.now());
    }, jobMs);
    timers.add(timer);
    res.status(201).set('RateLimit', rateLimit(now)).json({ job });
  });

  const server = app.listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/jobs`,
    made,
    refused: () => refused,
    close: () =>
      new Promise((resolve) => {
        for (const timer of timers) clearTimeout(timer);
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}

/** How often slots came free lately, in milliseconds: at least 1 s, at most 60 s, 10 s where nothing is known. */
function estimate(freed: number[]): number {
  const lately = freed.slice(-20);
  if (lately.length < 2) return 10_000;
  const betweenMs = (lately.at(-1)! - lately[0]!) / (lately.length - 1);
  return Math.min(Math.max(1000, betweenMs), 60_000);
}
