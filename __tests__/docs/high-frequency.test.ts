import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import request from 'supertest';
import type { ConfigError } from '../../lib/errors.js';
import { highFrequency } from '../../lib/middleware/high-frequency.js';
import express from 'express';
import { app, banning, behindProxy, guard, server } from './snippets/high-frequency.js';

const docs = (name: string): string => readFileSync(join(__dirname, '../../docs/reference', name), 'utf8');
const page = docs('high-frequency.md');

afterAll(async () => {
  const over = once(server, 'close');
  server.close();
  await over;
});

test('the code of the page is what runs here', () => {
  const source = readFileSync(join(__dirname, 'snippets/high-frequency.ts'), 'utf8');
  const shown = [...page.matchAll(/<!-- snippet: high-frequency\.ts#(\w+) -->\n\n```ts\n([^]*?)```/g)];
  expect(shown.length).toBe(page.match(/```ts/g)!.length);
  for (const [, region, code] of shown) {
    expect(source).toContain(`// #region ${region}\n${code}// #endregion`);
  }
});

test('the example answers, and its guard knows the client', async () => {
  if (!server.listening) await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  await request(`http://127.0.0.1:${port}`).get('/').expect(200, 'ok');
  expect(guard.guard.table()).toMatchObject([{ client: '127.0.0.1', readings: { requests: 1, errors: 0 } }]);
  for (const other of [banning, behindProxy]) await request(other).get('/').expect(404);
  expect(app.get('trust proxy')).toBe(false);
});

test('the answer of the page is the answer', async () => {
  const tight = express().use(highFrequency({ requests: { limit: 1 } }));
  await request(tight).get('/');
  const answer = await request(tight).get('/');
  const shown = /```json\n([^]*?)```/.exec(page)![1]!;
  expect(answer.status).toBe(429);
  expect(answer.body).toEqual(JSON.parse(shown));
});

test('every option has its row', () => {
  let known: string[] = [];
  try {
    highFrequency({ none: 0 } as never);
  } catch (error) {
    known = (error as ConfigError).expected.replace(/^.*(?:one of|there are) /, '').split(', ');
  }
  const answering = ['responses', 'deniedStatus', 'maxWait', 'help'];
  const own = known.filter((option) => !answering.includes(option));
  expect(own.length).toBe(known.length - answering.length);
  for (const option of own) expect(page).toMatch(new RegExp(`^\\| \`${option}\` +\\|`, 'm'));
});
