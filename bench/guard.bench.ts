import { fork, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { createServer, IncomingMessage, ServerResponse } from 'node:http';
import { Socket, type AddressInfo } from 'node:net';
import express, { type RequestHandler } from 'express';
import { rateLimit } from 'express-rate-limit';
import { highFrequency } from '../lib/middleware/high-frequency.js';
import type { HighFrequencyOptions } from '../lib/middleware/high-frequency-options.js';
import { median, versionsOf } from './support/table.js';

interface Load {
  url: string;
  connections: number;
  duration: number;
}
// eslint-disable-next-line @typescript-eslint/no-require-imports
const autocannon = require('autocannon') as (
  load: Load,
) => Promise<{ requests: { total: number }; duration: number }>;

// What the guard costs a request: in one process without sockets, and as throughput of a server that does nothing else.

const limit = 1_000_000_000;
const withoutErrors: HighFrequencyOptions = {
  openConnections: { limit },
  newConnections: { limit },
  requests: { limit },
};
const allFour: HighFrequencyOptions = { ...withoutErrors, errors: { limit } };

const peer = (): RequestHandler =>
  rateLimit({ windowMs: 10_000, limit, standardHeaders: false, legacyHeaders: false, validate: false });

const noop: RequestHandler = (_req, _res, next) => next();

if (process.argv[2] === 'serve') serve(process.argv[3]!);
else void main();

async function main(): Promise<void> {
  console.log(`Node ${process.version}, ${versionsOf('express', 'express-rate-limit', 'autocannon')}\n`);
  if (process.argv[4] !== 'throughput') await perRequest();
  await throughput();
}

// --- one process, no sockets ---

async function perRequest(): Promise<void> {
  for (const clients of [1, 1_000]) {
    const variants: [string, RequestHandler][] = [
      ['no-op', noop],
      ['guard, without errors', highFrequency(withoutErrors)],
      ['guard, all four', highFrequency(allFour)],
      ['express-rate-limit', peer()],
    ];
    const rounds = 15;
    const times = new Map<string, number[]>(variants.map(([name]) => [name, []]));
    for (let round = -2; round < rounds; round += 1) {
      for (const [name, handler] of variants) {
        const nanoseconds = await timed(handler, clients, 100_000);
        if (round >= 0) times.get(name)!.push(nanoseconds);
      }
    }
    const base = median(times.get('no-op')!);
    console.log(
      `µs added to a request over a no-op, ${clients} client(s), median of ${rounds} rounds of 100,000:`,
    );
    for (const [name, all] of times) {
      if (name === 'no-op') continue;
      const added = all.map((time, round) => (time - times.get('no-op')![round]!) / 1000);
      console.log(
        `  ${name.padEnd(24)} ${median(added).toFixed(2)}  (no-op itself ${(base / 1000).toFixed(2)})`,
      );
    }
    console.log();
  }
}

/** Nanoseconds a request, with its objects made and its response closed, as in a server. */
async function timed(handler: RequestHandler, clients: number, requests: number): Promise<number> {
  const app = express();
  const sockets = Array.from({ length: clients }, (_, number) => {
    const socket = new Socket();
    const address = `10.${(number >> 16) & 255}.${(number >> 8) & 255}.${number & 255}`;
    Object.defineProperty(socket, 'remoteAddress', { value: address });
    return socket;
  });
  // CPU time, so that other work on the machine is not counted.
  const before = process.cpuUsage();
  for (let sent = 0; sent < requests; sent += 1) {
    const req = Object.assign(new IncomingMessage(sockets[sent % clients]!), { app, ip: '10.0.0.1' });
    const res = new ServerResponse(req);
    let passed = false;
    const next = (): void => {
      passed = true;
      res.writeHead(200);
      res.emit('close');
    };
    void handler(req as never, res as never, next);
    while (!passed) await Promise.resolve();
  }
  const { user, system } = process.cpuUsage(before);
  return ((user + system) * 1000) / requests;
}

// --- a real server ---

function serve(variant: string): void {
  const app = express().disable('x-powered-by').disable('etag');
  const server = createServer(app);
  if (variant === 'guard') {
    const guard = highFrequency(allFour);
    guard.attach(server);
    app.use(guard);
  }
  // What any middleware costs: Express matches and calls one layer more.
  if (variant === 'no-op') app.use(noop);
  if (variant === 'express-rate-limit') app.use(peer());
  app.get('/', (_req, res) => void res.json({ ok: true }));
  server.listen(0, '127.0.0.1', () => process.send!({ port: (server.address() as AddressInfo).port }));
  process.on('message', () => process.send!({ cpu: process.cpuUsage() }));
}

async function throughput(): Promise<void> {
  const names = ['plain', 'no-op', 'guard', 'express-rate-limit'];
  const servers = new Map<string, { child: ChildProcess; port: number }>();
  for (const name of names) {
    const child = fork(__filename, ['serve', name], { execArgv: process.execArgv });
    const [{ port }] = (await once(child, 'message')) as [{ port: number }];
    servers.set(name, { child, port });
  }
  const rounds = 21;
  const perSecond = new Map<string, number[]>(names.map((name) => [name, []]));
  const perCpu = new Map<string, number[]>(names.map((name) => [name, []]));
  for (let round = -1; round < rounds; round += 1) {
    // Turned round by round, so that nobody always comes first.
    for (let turn = 0; turn < names.length; turn += 1) {
      const name = names[(turn + round + names.length) % names.length]!;
      const { child, port } = servers.get(name)!;
      const before = await cpuOf(child);
      const { requests, duration } = await autocannon({
        url: `http://127.0.0.1:${port}`,
        connections: 50,
        duration: 1,
      });
      const used = (await cpuOf(child)) - before;
      if (round < 0) continue;
      perSecond.get(name)!.push(requests.total / duration);
      perCpu.get(name)!.push(requests.total / used);
    }
  }
  console.log(
    `requests of a real server, keep-alive, 50 connections, median of ${rounds} rounds of 1 s, as a share of plain:`,
  );
  for (const name of names) {
    const share = (all: Map<string, number[]>): string =>
      (100 * median(all.get(name)!.map((value, round) => value / all.get('plain')![round]!))).toFixed(1);
    const rate = median(perSecond.get(name)!).toFixed(0);
    console.log(
      `  ${name.padEnd(20)} ${rate.padStart(6)}/s  ${share(perSecond)} % of plain; per CPU second ${share(perCpu)} %`,
    );
  }
  for (const { child } of servers.values()) child.kill();
}

async function cpuOf(child: ChildProcess): Promise<number> {
  const answer = once(child, 'message') as Promise<[{ cpu: NodeJS.CpuUsage }]>;
  child.send('cpu');
  const [{ cpu }] = await answer;
  return (cpu.user + cpu.system) / 1e6;
}
