import express from 'express';
import type { Browser } from 'playwright-core';
import { fileSize } from '../../lib/middleware/file-size.js';
import { answerExpect } from '../../lib/uploads/expect.js';
import { listen, type Listening } from '../support/http.js';
import { startNginx, type Proxy } from '../support/nginx.js';
import { requireProgram } from '../support/services.js';
import {
  nodeClients,
  startChromium,
  viaChromium,
  viaCurl,
  type UploadClient,
} from '../support/upload-clients.js';

// A slow machine is no failure.
jest.setTimeout(30_000);

const MiB = 1024 * 1024;
const nginx = requireProgram('nginx');
const curl = requireProgram('curl');
const chromium = requireProgram('chromium');

let listening: Listening;
let stopExpect: () => void;
const proxies: Partial<Record<'on' | 'off', Proxy>> = {};
/** How much of a body the app was handed, for each request. */
let handed: number[] = [];

beforeAll(async () => {
  const app = express();
  app.get('/', (_req, res) => void res.type('html').send('<p>a page of this origin'));
  app.post('/', fileSize({ maxFile: '1mb' }), (req, res) => {
    const index = handed.push(0) - 1;
    req.on('data', (chunk: Buffer) => (handed[index]! += chunk.length));
    req.on('end', () => void res.json({ complete: true })).on('error', () => {});
  });
  listening = await listen(app);
  stopExpect = answerExpect(listening.server);
  if (nginx === undefined) return;
  for (const buffering of ['on', 'off'] as const) {
    proxies[buffering] = await startNginx(nginx, listening.port, buffering);
  }
});

afterAll(async () => {
  stopExpect();
  await Promise.all(Object.values(proxies).map((proxy) => proxy.stop()));
  await listening.close();
});

beforeEach(() => (handed = []));

async function readsThe413(client: UploadClient, url: string, how: 'length' | 'chunked'): Promise<void> {
  const { status, body } = await client(url, 32 * MiB, how);
  expect({ status, error: (JSON.parse(body) as { error: string }).error }).toEqual({
    status: 413,
    error: 'FILE_TOO_LARGE',
  });
  for (const bytes of handed) expect(bytes).toBeLessThanOrEqual(MiB);
}

const clients: [string, UploadClient][] = [...nodeClients];
if (curl !== undefined) clients.push(['curl', viaCurl(curl)]);

describe.each(clients)('%s reads the whole 413 while it uploads 32 MiB against 1 MiB', (_name, client) => {
  describe.each(['length', 'chunked'] as const)('%s', (how) => {
    test('plain', () => readsThe413(client, listening.url, how));
    const through = nginx === undefined ? test.skip : test;
    through('through nginx that buffers', () => readsThe413(client, proxies.on!.url, how));
    through('through nginx that does not', () => readsThe413(client, proxies.off!.url, how));
  });
});

(chromium === undefined ? describe.skip : describe)('Chromium', () => {
  let browser: Browser;
  beforeAll(async () => {
    browser = await startChromium(chromium!);
  });
  afterAll(() => browser?.close());

  test('plain', () => readsThe413(viaChromium(browser), listening.url, 'length'));
  const through = nginx === undefined ? test.skip : test;
  through(
    'through nginx that buffers',
    () => readsThe413(viaChromium(browser), proxies.on!.url, 'length'),
    20_000,
  );
  through(
    'through nginx that does not',
    () => readsThe413(viaChromium(browser), proxies.off!.url, 'length'),
    20_000,
  );
});

(curl === undefined ? test.skip : test)('curl with Expect uploads nothing at all', async () => {
  const result = await viaCurl(curl!, true)(listening.url, 32 * MiB, 'length');
  expect(result).toMatchObject({ status: 413, uploaded: 0 });
  expect(handed).toEqual([]);
});
