import { once } from 'node:events';
import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import express, { type RequestHandler } from 'express';
import {
  nodeClients,
  startChromium,
  viaChromium,
  viaCurl,
  type UploadClient,
} from '../__tests__/support/upload-clients.js';
import { startNginx, type Proxy } from '../__tests__/support/nginx.js';
import { requireProgram } from '../__tests__/support/services.js';
import { fileSize } from '../lib/middleware/file-size.js';
import { answerExpect } from '../lib/uploads/expect.js';
import type { UploadStorage } from '../lib/uploads/storage.js';
import { printTable, versionsOf } from './support/table.js';
import { Sender } from './uploads/sender.js';

// The whole matrix of clients, TIMES times each; an upload of HUGE against 100 MB; and 50 uploads at once, of SMALL and of
// LARGE each (all in MiB), with what they cost in memory and how they held up the event loop.
const MiB = 1024 * 1024;
const env = (name: string, fallback: number): number => Number(process.env[name] ?? fallback);
const TIMES = env('TIMES', 5);
const HUGE = env('HUGE', 10 * 1024);
const SMALL = env('SMALL', 20);
const LARGE = env('LARGE', 1024);
const AT_ONCE = 50;

const handed: number[] = [];
const countHanded: RequestHandler = (req, res) => {
  const index = handed.push(0) - 1;
  req.on('data', (chunk: Buffer) => (handed[index]! += chunk.length));
  req.on('end', () => res.json({})).on('error', () => {});
};
const nowhere: UploadStorage = {
  _handleFile: (_req, { stream }, callback) => void stream.on('end', () => callback()).resume(),
  _removeFile: (_req, _file, callback) => callback(null),
};
const all = { maxFile: '100gb', maxRequest: '100gb' };
const done: RequestHandler = (_req, res) => void res.end();

async function serve(): Promise<{ server: Server; port: number }> {
  const app = express();
  app.get('/', (_req, res) => void res.type('html').send('<p>a page of this origin'));
  app.post('/', fileSize({ maxFile: '1mb' }), countHanded);
  app.post('/huge', fileSize({ maxFile: 100_000_000 }), countHanded);
  app.post('/raw', fileSize(all), (req, res) => void req.on('end', () => res.end()).resume());
  app.post('/bare', (req, res) => void req.on('end', () => res.end()).resume());
  app.post('/form', fileSize({ ...all, storage: nowhere }), done);
  app.post('/disk', fileSize(all), done);
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  // Node ends a request that takes more than 300 s to arrive, which the large ones do on a slow machine.
  server.requestTimeout = 0;
  answerExpect(server);
  return { server, port: (server.address() as AddressInfo).port };
}

/** Tries of TIMES in which the whole answer was read. */
async function tries(client: UploadClient, url: string, how: 'length' | 'chunked'): Promise<string> {
  let good = 0;
  for (let time = 0; time < TIMES; time += 1) {
    const answer = await client(url, 32 * MiB, how).catch(() => undefined);
    if (answer?.status === 413 && answer.body.includes('FILE_TOO_LARGE')) good += 1;
  }
  return `${good}/${TIMES}`;
}

async function matrix(port: number): Promise<void> {
  const [nginx, curl, chromium] = ['nginx', 'curl', 'chromium'].map(requireProgram);
  const proxies: Proxy[] = [];
  const ways: [string, string][] = [['plain', `http://127.0.0.1:${port}`]];
  for (const buffering of nginx === undefined ? [] : (['on', 'off'] as const)) {
    const proxy = await startNginx(nginx!, port, buffering);
    proxies.push(proxy);
    ways.push([`nginx, buffering ${buffering}`, proxy.url]);
  }
  const clients: [string, UploadClient][] = [...nodeClients];
  if (curl !== undefined) clients.push(['curl', viaCurl(curl)]);
  const browser = chromium === undefined ? undefined : await startChromium(chromium);
  if (browser !== undefined) clients.push(['Chromium', viaChromium(browser)]);
  const rows: Record<string, string>[] = [];
  handed.length = 0;
  for (const [name, client] of clients) {
    const row: Record<string, string> = { client: name };
    for (const [way, url] of ways) {
      // A browser sends no chunked body over HTTP/1.
      const chunked = name === 'Chromium' ? '-' : await tries(client, url, 'chunked');
      row[`${way}: length, chunked`] = `${await tries(client, url, 'length')}, ${chunked}`;
    }
    rows.push(row);
  }
  printTable(rows);
  console.log(`\nmost bytes handed to the app: ${Math.max(0, ...handed)} of 1048576 allowed`);
  if (curl !== undefined) {
    const { status, uploaded } = await viaCurl(curl, true)(ways[0]![1], 32 * MiB, 'length');
    console.log(`curl with Expect: ${status}, ${uploaded} bytes of the body sent\n`);
  }
  await browser?.close();
  await Promise.all(proxies.map((proxy) => proxy.stop()));
}

async function huge(port: number, sender: Sender): Promise<void> {
  for (const how of ['length', 'chunked'] as const) {
    handed.length = 0;
    const job = { port, path: '/huge', size: HUGE * MiB, form: false, how };
    const [answer] = await sender.send(job);
    console.log(
      `${HUGE} MiB against 100 MB, ${how}: ${answer!.status}, ${handed[0] ?? 0} bytes handed to the app, client sent ${answer!.sent}`,
    );
  }
}

async function memory(port: number, sender: Sender): Promise<void> {
  const rows: Record<string, string | number>[] = [];
  const runs: [string, boolean, number][] = [
    // Without this package, for comparison: what the machine itself takes.
    ['/bare', false, SMALL],
    ['/raw', false, SMALL],
    ['/raw', false, LARGE],
    ['/form', true, SMALL],
    ['/form', true, LARGE],
    ['/disk', true, SMALL],
  ];
  for (const [path, form, size] of runs) {
    global.gc?.();
    const before = process.memoryUsage().rss;
    let peak = before;
    const watch = setInterval(() => (peak = Math.max(peak, process.memoryUsage().rss)), 20);
    const delay = monitorEventLoopDelay({ resolution: 1 });
    delay.enable();
    const began = performance.now();
    const answers = await sender.send({ port, path, size: size * MiB, form, count: AT_ONCE });
    delay.disable();
    clearInterval(watch);
    rows.push({
      [`${AT_ONCE} at once`]: `${path} ${size} MiB`,
      answered: answers.filter(({ status }) => status === 200).length,
      'RSS before, MiB': Math.round(before / MiB),
      'RSS peak, MiB': Math.round(peak / MiB),
      'event loop p99, ms': (delay.percentile(99) / 1e6).toFixed(1),
      seconds: ((performance.now() - began) / 1000).toFixed(1),
    });
  }
  console.log('');
  printTable(rows);
}

async function main(): Promise<void> {
  console.log(
    `Node ${process.version}, ${versionsOf('express', 'undici', 'got', 'axios', 'playwright-core')}\n`,
  );
  const { server, port } = await serve();
  const sender = new Sender();
  // Memory first: what the clients of the matrix hold in this process would be counted too.
  await memory(port, sender);
  console.log('');
  await huge(port, sender);
  console.log('');
  await matrix(port);
  sender.close();
  server.close();
  server.closeAllConnections();
}

void main();
