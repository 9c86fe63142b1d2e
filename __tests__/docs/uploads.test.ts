import { existsSync, readFileSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { STATUS_CODES } from 'node:http';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import request from 'supertest';
import { ConfigError } from '../../lib/errors.js';
import { fileSize } from '../../lib/middleware/file-size.js';
import { urlCount } from '../../lib/middleware/url-count.js';
import * as fileSizeSnippets from './snippets/file-size.js';
import * as urlCountSnippets from './snippets/url-count.js';
import { uploadAnswers } from './upload-answers.js';

// A slow machine is no failure.
jest.setTimeout(30_000);

const top = join(__dirname, '..', '..');
const read = (path: string): string => readFileSync(join(top, path), 'utf8');
const pages = ['docs/reference/file-size.md', 'docs/reference/url-count.md'];

test.each(pages)('%s shows the code that is run here', (page) => {
  const blocks = [...read(page).matchAll(/<!-- snippet: (\S+)#(\S+) -->\n\n```ts\n([\s\S]*?)```/g)];
  expect(blocks.length).toBeGreaterThan(0);
  for (const [, file, name, code] of blocks) {
    const source = read(`__tests__/docs/snippets/${file}`);
    const region = source.split(`// #region ${name}\n`)[1]?.split('// #endregion')[0];
    expect(code).toBe(region);
  }
});

const shown = pages.flatMap((page) =>
  [...read(page).matchAll(/<!-- answer: (\S+) -->\n\n```http\n([\s\S]*?)```/g)].map(([, name, text]) => ({
    page,
    name: name!,
    text: text!,
  })),
);

test.each(shown)('$page shows the answer $name as it is', async ({ name, text }) => {
  const real = await uploadAnswers[name]!();
  const [head, body = ''] = text.split('\n\n');
  const [status, ...headers] = head!.trim().split('\n');
  expect(status).toBe(`HTTP/1.1 ${real.status} ${STATUS_CODES[real.status]}`);
  for (const header of headers) {
    const [key, ...value] = header.split(': ');
    expect((real.headers as Record<string, string>)[key!.toLowerCase()]).toBe(value.join(': '));
  }
  if (body.trim() === '') expect(real.text).toBe('');
  else expect(JSON.parse(real.text)).toEqual(JSON.parse(body));
});

test('every answer is shown', () => {
  expect(shown.map(({ name }) => name).sort()).toEqual(Object.keys(uploadAnswers).sort());
});

test.each([
  [pages[0]!, fileSize],
  [pages[1]!, urlCount],
])('%s names every option', (page, make) => {
  let known: string[] = [];
  try {
    make({ '?': 1 } as never);
  } catch (error) {
    known = (error as ConfigError).expected.replace(/^.*(?:one of|there are) /, '').split(', ');
  }
  expect(known.length).toBeGreaterThan(5);
  for (const option of known) expect(read(page)).toContain(`\`${option}\``);
});

test('every code that the sources name has its heading', () => {
  const sources = [
    'uploads/refusals',
    'uploads/urls',
    'uploads/form',
    'uploads/form-prefix',
    'middleware/file-size',
  ];
  const codes = sources.flatMap((name) =>
    [...read(`lib/${name}.ts`).matchAll(/'([A-Z]+(?:_[A-Z]+)+)'/g)].map(([, code]) => code!),
  );
  const part = 'docs/reference/errors-part-uploads.md';
  const text = read(existsSync(join(top, part)) ? part : 'docs/reference/errors.md');
  const headings = [...text.matchAll(/^## (\S+)$/gm)].map(([, heading]) => heading);
  expect(headings).toEqual(expect.arrayContaining([...new Set(codes)]));
});

describe('the code works', () => {
  let directory: string;
  beforeAll(async () => {
    directory = await mkdtemp(join(tmpdir(), 'docs-uploads-'));
    fileSizeSnippets.useInputs(directory);
  });
  afterAll(() => rm(directory, { recursive: true }));

  test('a form', async () => {
    const video = { filename: 'a.mp4', contentType: 'video/mp4' };
    const form = request(fileSizeSnippets.app)
      .post('/jobs')
      .field('preset', 'hd')
      .attach('v', Buffer.from('x'), video);
    const { body, status } = (await form) as { body: unknown; status: number };
    expect(status).toBe(201);
    expect(body).toEqual({ stored: await readdir(directory), fields: { preset: 'hd' } });
    const picture = { filename: 'a.png', contentType: 'image/png' };
    await request(fileSizeSnippets.app).post('/jobs').attach('v', Buffer.from('x'), picture).expect(415);
  });

  test('a raw body, the fields before, and URLs', async () => {
    await request(fileSizeSnippets.app).put('/files/a').type('text').send('hello').expect(201, { bytes: 5 });
    await request(fileSizeSnippets.app)
      .post('/key')
      .field('api_key', 'k')
      .attach('f', Buffer.from('x'), 'f')
      .expect(200, '"k"');
    expect(fileSizeSnippets.server.listenerCount('checkContinue')).toBe(1);
    const urls = ['https://example.com/a'];
    await request(urlCountSnippets.app).post('/jobs').send({ input: { urls } }).expect(201, { urls });
    await request(urlCountSnippets.app)
      .post('/jobs')
      .send({ input: { urls: [...urls, ...urls] } })
      .expect(422);
  });
});
