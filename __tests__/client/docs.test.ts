import { openAsBlob, readFileSync } from 'node:fs';
import { join } from 'node:path';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';
import * as client from '../../lib/client/index.js';
import { virtualTime } from '../support/virtual-time.js';
import { scriptedServer, type ScriptedServer } from '../support/scripted-server.js';

const page = readFileSync(join(__dirname, '../../docs/reference/client.md'), 'utf8');
const examples = [...page.matchAll(/^```ts\n(.*?)^```$/gms)].map(([, code]) => code!);

let server: ScriptedServer;
beforeAll(async () => void (server = await scriptedServer()));
afterAll(() => server.close());

/** Runs one example of the page, with what it takes for granted as globals; its requests go to the test's server. */
function run(example: string, globals: object, result = 'undefined'): Promise<unknown> {
  const compilerOptions = { module: ModuleKind.CommonJS, target: ScriptTarget.ES2023 };
  const { outputText } = transpileModule(example, { compilerOptions });
  const names = {
    require: (name: string) => (name === 'express-job-limits/client' ? client : undefined),
    exports: {},
    fetch: (input: string, init: RequestInit) =>
      fetch(input.replace('https://api.example.com/', server.url), init),
    ...globals,
  };
  // eslint-disable-next-line @typescript-eslint/no-implied-eval -- the code is this package's own page
  const made = new Function(
    ...Object.keys(names),
    `return (async () => { ${outputText}; return ${result}; })()`,
  ) as (...values: unknown[]) => Promise<unknown>;
  return made(...Object.values(names));
}

test('the page has three examples', () => {
  expect(examples).toHaveLength(3);
});

test('the first creates a job, and says when to come back', async () => {
  const createJob = (await run(examples[0]!, {}, 'createJob')) as (job: object) => Promise<string>;
  server.play(
    { status: 201, body: 'a' },
    { status: 422 },
    { status: 429, headers: { 'Retry-After': '600' } },
  );
  expect(await createJob({ n: 1 })).toBe('created a');
  expect(await createJob({ n: 2 })).toBe('failed with status 422');
  expect(await createJob({ n: 3 })).toMatch(/^refused by HTTP_429, try again at 20\d\d-.*Z$/);
  expect(server.seen.map(({ body, headers }) => [body, 'idempotency-key' in headers])).toEqual([
    ['{"n":1}', true],
    ['{"n":2}', true],
    ['{"n":3}', true],
  ]);
});

test('the second sends a file again', async () => {
  const { clock, sleep } = virtualTime();
  const api = client.retrying(fetch, { clock, sleep });
  server.play({ status: 429 }, { status: 201 });
  await run(examples[1]!, { api, url: server.url, openAsBlob, path: __filename });
  const file = readFileSync(__filename, 'utf8');
  expect(server.seen.map(({ body }) => body === file)).toEqual([true, true]);
});

test('the third sends batches', async () => {
  const api = (input: string, init: RequestInit) =>
    fetch(input.replace('https://api.example.com/', server.url), init);
  const allUrls = Array.from({ length: 250 }, (_, index) => `https://a.example/${index}`);
  server.play({ status: 201 });
  await run(examples[2]!, { api, inBatches: client.inBatches, allUrls });
  const sent = server.seen.map(({ body }) => (JSON.parse(body) as { urls: string[] }).urls);
  expect(sent.map(({ length }) => length)).toEqual([100, 100, 50]);
  expect(sent.flat()).toEqual(allUrls);
});

test('the page names every option and every export', () => {
  for (const name of Object.keys(client)) expect(page).toContain(name);
  const source = readFileSync(join(__dirname, '../../lib/client/options.ts'), 'utf8');
  const options = source.slice(
    source.indexOf('interface RetryingOptions'),
    source.indexOf('export type Settings'),
  );
  const names = [...options.matchAll(/^ {2}(\w+)\?:/gm)].map(([, name]) => name!);
  expect(names).toContain('random');
  for (const name of names) expect(page).toMatch(new RegExp(`^\\|.*\`${name}\`.*\\|`, 'm'));
});
