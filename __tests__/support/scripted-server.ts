import { createServer, type IncomingHttpHeaders, type ServerResponse } from 'node:http';
import type { AddressInfo } from 'node:net';

/** What the server does with one request: answers, breaks the connection, or whatever a function does. */
export type Step =
  | { status: number; headers?: Record<string, string>; body?: unknown }
  | 'break'
  | ((res: ServerResponse) => void);

export interface Seen {
  method: string;
  headers: IncomingHttpHeaders;
  body: string;
}

export interface ScriptedServer {
  url: string;
  /** The requests so far. */
  seen: Seen[];
  /** Begins a new script: one step a request, the last one again for all that come after. */
  play(...steps: Step[]): void;
  close(): Promise<void>;
}

/** A real server that does what it is told, step by step. */
export async function scriptedServer(): Promise<ScriptedServer> {
  let script: Step[] = [];
  const seen: Seen[] = [];
  const server = createServer((req, res) => {
    const chunks: Buffer[] = [];
    req.on('data', (chunk: Buffer) => chunks.push(chunk));
    req.on('end', () => {
      seen.push({ method: req.method!, headers: req.headers, body: Buffer.concat(chunks).toString() });
      const step = script.length > 1 ? script.shift()! : script[0]!;
      if (step === 'break') return void req.socket.destroy();
      if (typeof step === 'function') return step(res);
      // Without a Date of its own the server's clock is unknown, as it is to pages of other origins.
      res.sendDate = false;
      const body =
        step.body === undefined || typeof step.body === 'string' ? step.body : JSON.stringify(step.body);
      res.writeHead(step.status, step.headers).end(body);
    });
  }).listen(0, '127.0.0.1');
  await new Promise((resolve) => server.once('listening', resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}/`,
    seen,
    play(...steps) {
      script = steps;
      seen.length = 0;
    },
    close: () =>
      new Promise((resolve) => {
        server.close(() => resolve());
        server.closeAllConnections();
      }),
  };
}
