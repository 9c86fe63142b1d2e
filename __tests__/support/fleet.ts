import { createServer, request, Agent } from 'node:http';
import type { AddressInfo } from 'node:net';

/** Makes one job, or throws. The number goes out as the body's `job` and as `X-Job`. */
export type MakeJob = (url: string, job: number) => Promise<void>;

export const jobRequest = (
  job: number,
): { method: 'POST'; headers: Record<string, string>; body: string } => ({
  method: 'POST',
  headers: { 'Content-Type': 'application/json', 'X-Job': String(job) },
  body: JSON.stringify({ job }),
});

export interface Watch {
  url: string;
  /** Answers that never came back. */
  dropped(): number;
  /** Requests that came before the moment that the answer before had told, each by how many milliseconds. */
  early: number[];
  close(): Promise<void>;
}

/** A proxy that sees who comes back too early, and loses every `dropEvery`-th answer of the server's. */
export async function watch(target: string, { dropEvery = Infinity } = {}): Promise<Watch> {
  const agent = new Agent({ keepAlive: true });
  const notBefore = new Map<string, number>();
  const early: number[] = [];
  let answers = 0;
  let dropped = 0;

  const proxy = createServer((req, res) => {
    const job = String(req.headers['x-job']);
    const aheadMs = (notBefore.get(job) ?? -Infinity) - performance.now();
    if (aheadMs > 0) early.push(aheadMs);
    notBefore.delete(job);

    const upstream = request(target, { method: req.method, headers: req.headers, agent }, (answer) => {
      const chunks: Buffer[] = [];
      answer.on('data', (chunk: Buffer) => chunks.push(chunk));
      answer.on('end', () => {
        if (++answers % dropEvery === 0) {
          dropped++;
          return void req.socket.destroy();
        }
        const retryAfter = answer.headers['retry-after'];
        if (retryAfter !== undefined) notBefore.set(job, performance.now() + Number(retryAfter) * 1000);
        res.writeHead(answer.statusCode!, answer.headers).end(Buffer.concat(chunks));
      });
    });
    upstream.on('error', () => req.socket.destroy());
    req.pipe(upstream);
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => proxy.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(proxy.address() as AddressInfo).port}/jobs`,
    dropped: () => dropped,
    early,
    close: () =>
      new Promise((resolve) => {
        proxy.close(() => resolve());
        proxy.closeAllConnections();
        agent.destroy();
      }),
  };
}

export interface FleetResult {
  /** Jobs that their client gave up. */
  gaveUp: number;
  /** From the first request to the last answer. */
  elapsedMs: number;
}

/** So many clients share a list of jobs: each takes the next one as soon as its last one is made or given up. */
export async function runFleet(options: {
  url: string;
  clients: number;
  jobs: number;
  newClient: () => MakeJob;
}): Promise<FleetResult> {
  const { url, clients, jobs, newClient } = options;
  let next = 0;
  let gaveUp = 0;
  const begun = performance.now();
  await Promise.all(
    Array.from({ length: clients }, async () => {
      const make = newClient();
      while (next < jobs) {
        try {
          await make(url, next++);
        } catch {
          gaveUp++;
        }
      }
    }),
  );
  return { gaveUp, elapsedMs: performance.now() - begun };
}
