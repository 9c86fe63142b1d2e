import { mkdtemp, readdir, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import request from 'supertest';
import * as fileSizeSnippets from './snippets/file-size.js';
import * as urlCountSnippets from './snippets/url-count.js';

// A slow machine is no failure.
jest.setTimeout(30_000);

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
