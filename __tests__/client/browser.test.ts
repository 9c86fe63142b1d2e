import { createServer, type Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { chromium, type Browser, type Page } from 'playwright-core';
import type * as Client from '../../lib/client/index.js';
import { clientScript } from '../support/client-bundle.js';
import { requireProgram } from '../support/services.js';

declare global {
  // The bundle's exports, in the page.
  var client: typeof Client;
}

const executablePath = requireProgram('chromium');
const inChromium = executablePath === undefined ? describe.skip : describe;

inChromium('in a page in Chromium', () => {
  let server: Server;
  let browser: Browser;
  let page: Page;
  /** Paths and keys of the requests so far. */
  let seen: { path: string; key: string | undefined; body: string }[] = [];

  beforeAll(async () => {
    const script = await clientScript();
    server = createServer((req, res) => {
      const chunks: Buffer[] = [];
      req.on('data', (chunk: Buffer) => chunks.push(chunk));
      req.on('end', () => {
        const path = req.url!;
        if (path === '/')
          return void res.setHeader('Content-Type', 'text/html').end(`<script>${script}</script>`);
        if (path === '/favicon.ico') return void res.writeHead(404).end();
        const key = req.headers['idempotency-key'] as string | undefined;
        seen.push({ path, key, body: Buffer.concat(chunks).toString() });
        const tries = seen.filter((one) => one.path === path).length;
        const wait = path === '/long' ? 600 : 1;
        if (path === '/lost' && tries === 1) return void req.socket.destroy();
        if (path === '/left') return void res.setHeader('RateLimit', '"rate";r=0;t=1').end('{}');
        if (path === '/jobs' && tries > 1) return void res.writeHead(201).end('{"id":"a"}');
        if (path === '/lost') return void res.writeHead(201).end('{"id":"b"}');
        res.writeHead(413, { 'Content-Type': 'application/json', 'Retry-After': String(wait) });
        res.end(
          JSON.stringify({ error: 'RATE_LIMIT_REACHED', info: { retryIn: wait, limit: 'concurrency' } }),
        );
      });
    }).listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    // Without its sandbox, which needs privileges that containers seldom have; the page is the test's own.
    browser = await chromium.launch({ executablePath: executablePath!, args: ['--no-sandbox'] });
    page = await browser.newPage();
    await page.goto(`http://127.0.0.1:${(server.address() as AddressInfo).port}/`);
  }, 60_000);

  beforeEach(() => void (seen = []));

  afterAll(async () => {
    await browser?.close();
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  });

  test('a refused creation is sent again when its time has come', async () => {
    const result = await page.evaluate(async () => {
      const waits: number[] = [];
      const api = client.retrying(fetch, {
        random: () => 0,
        onRetry: ({ waitMs }) => waits.push(waitMs),
      });
      const begun = performance.now();
      const response = await api('/jobs', { method: 'POST', body: new Blob(['abc']) });
      return {
        status: response.status,
        body: await response.json(),
        waits,
        tookMs: performance.now() - begun,
      };
    });
    expect(result).toMatchObject({ status: 201, body: { id: 'a' } });
    expect(result.waits).toHaveLength(1);
    expect(result.tookMs).toBeGreaterThanOrEqual(1000);
    expect(seen.map(({ body }) => body)).toEqual(['abc', 'abc']);
  });

  test('a creation whose answer was lost is sent again with the same key', async () => {
    const status = await page.evaluate(async () => {
      const api = client.retrying(fetch, { idempotency: true, jitter: 0 });
      return (await api(new Request('/lost', { method: 'POST', body: 'abc' }))).status;
    });
    expect(status).toBe(201);
    expect(seen.map(({ body }) => body)).toEqual(['abc', 'abc']);
    expect(seen[0]!.key).toMatch(/^"[0-9a-f]{32}"$/);
    expect(seen[1]!.key).toBe(seen[0]!.key);
  });

  test('a wait that is too long is a LimitError at once', async () => {
    const error = await page.evaluate(async () => {
      const failure: unknown = await client
        .retrying(fetch)('/long', { method: 'POST' })
        .catch((reason: unknown) => reason);
      if (!(failure instanceof client.LimitError)) return failure;
      const { code, limit, retryAt, response } = failure;
      return {
        code,
        limit,
        aheadMs: retryAt!.getTime() - Date.now(),
        body: await response.json(),
      };
    });
    expect(error).toMatchObject({
      code: 'RATE_LIMIT_REACHED',
      limit: 'concurrency',
      body: { info: { retryIn: 600 } },
    });
    expect((error as { aheadMs: number }).aheadMs).toBeGreaterThan(0);
    expect(seen).toHaveLength(1);
  });

  test('an abort ends a wait', async () => {
    const reason = await page.evaluate(async () => {
      const controller = new AbortController();
      const onRetry = (): void => void setTimeout(() => controller.abort(new Error('enough')));
      const api = client.retrying(fetch, {
        maxElapsed: Infinity,
        onRetry,
        signal: new AbortController().signal,
      });
      return api('/long', { signal: controller.signal }).catch((error: Error) => error.message);
    });
    expect(reason).toBe('enough');
    expect(seen).toHaveLength(1);
  });

  test('a call that could never be sent fails at once', async () => {
    const name = await page.evaluate(() =>
      client
        .retrying(fetch)('http://')
        .catch((error: Error) => error.name),
    );
    expect(name).toBe('TypeError');
  });

  test('calls are spaced by the RateLimit header', async () => {
    const tookMs = await page.evaluate(async () => {
      const api = client.retrying(fetch, { spacing: true, jitter: 0 });
      const begun = performance.now();
      await api('/left');
      await api('/left');
      return performance.now() - begun;
    });
    expect(tookMs).toBeGreaterThanOrEqual(1000);
    expect(seen).toHaveLength(2);
  });
});
