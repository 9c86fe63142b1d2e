import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import * as client from '../../lib/client/index.js';
import { read, tables } from './markdown.js';
import { createJob, sendAll, sendFile } from './snippets/client.js';
import * as inShort from './snippets/client-in-short.js';
import { scriptedServer, type ScriptedServer } from '../support/scripted-server.js';

let server: ScriptedServer;
beforeAll(async () => void (server = await scriptedServer()));
afterAll(() => server.close());

describe('the examples of README.md and docs/reference/client.md', () => {
  test('a job is created, and a refusal says when to come back', async () => {
    server.play(
      { status: 201, body: 'a' },
      { status: 422 },
      { status: 429, headers: { 'Retry-After': '600' } },
    );
    expect(await createJob(server.url, { n: 1 })).toBe('created a');
    expect(await createJob(server.url, { n: 2 })).toBe('failed with status 422');
    expect(await createJob(server.url, { n: 3 })).toMatch(/^refused by HTTP_429, try again at 20\d\d-.*Z$/);
    expect(server.seen.map(({ body, headers }) => [body, 'idempotency-key' in headers])).toEqual([
      ['{"n":1}', true],
      ['{"n":2}', true],
      ['{"n":3}', true],
    ]);
  });

  test('in short: a refusal is waited for', async () => {
    server.play({ status: 429, headers: { 'Retry-After': '1' } }, { status: 201 });
    expect((await inShort.createJob(server.url, { n: 1 })).status).toBe(201);
    const keys = server.seen.map(({ headers }) => headers['idempotency-key']);
    expect(keys[0]).toBeDefined();
    expect(keys).toEqual([keys[0], keys[0]]);
  });

  test('a stream is made again for each try', async () => {
    server.play({ status: 429 }, { status: 201 });
    await sendFile(server.url, __filename);
    const file = readFileSync(__filename, 'utf8');
    expect(server.seen.map(({ body }) => body === file)).toEqual([true, true]);
  });

  test('URLs go in batches', async () => {
    const allUrls = Array.from({ length: 250 }, (_, index) => `https://a.example/${index}`);
    server.play({ status: 201 });
    await sendAll(server.url, allUrls);
    const sent = server.seen.map(({ body }) => (JSON.parse(body) as { urls: string[] }).urls);
    expect(sent.map(({ length }) => length)).toEqual([100, 100, 50]);
    expect(sent.flat()).toEqual(allUrls);
  });
});

test('the page lists every option, every property of a LimitError and every export', () => {
  const page = read('docs/reference/client.md');
  const shown = (column: string): string[] =>
    tables(page)
      .filter(([header]) => header![0] === column)
      .flatMap(([, ...rows]) => rows.flatMap(([name]) => name!.split(', ')));
  const source = readFileSync(join(__dirname, '../../lib/client/options.ts'), 'utf8');
  const options = source.slice(source.indexOf('interface RetryingOptions'), source.indexOf('type Settings'));
  expect(shown('option')).toEqual([...options.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name));

  const refused = { code: 'A', limit: 'b', waitMs: 1, final: false };
  const properties = Object.keys(new client.LimitError(refused, new Response(), 0));
  expect(shown('property').sort()).toEqual(properties.filter((name) => name !== 'name').sort());
  for (const name of Object.keys(client)) expect(page).toContain(name);
});
