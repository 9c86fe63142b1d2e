import { request as httpRequest, type IncomingMessage } from 'node:http';
import { once } from 'node:events';
import { readdir } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import request from 'supertest';
import { createApp, type MediaApi } from '../../examples/media-api/app.js';
import type { PlansFile } from '../../examples/media-api/plans-file.js';
import { closeArchiveWorkers, type CustomerUsage } from '../../lib/index.js';
import { ownTempDir } from '../../lib/uploads/temp-dir.js';
import { formBody } from '../support/forms.js';
import { listen, until, type Listening } from '../support/http.js';
import { writeTar } from '../support/tar-writer.js';
import { writeZip } from '../support/zip-writer.js';

// A slow machine is no failure, and a first archive starts a worker.
jest.setTimeout(30_000);

const plans: PlansFile = {
  plans: {
    free: {
      creationRate: { limit: 5, window: '1m' },
      concurrency: { limit: 5 },
      fileSize: { maxFile: '100kb', maxRequest: '200kb', maxFiles: 3 },
      archiveLimits: { maxEntries: 2, maxDepth: 0 },
      urlCount: { limit: 2 },
    },
    bare: {},
  },
  customers: { bare: 'bare' },
  default: 'free',
};

let api: MediaApi;
let served: Listening;
beforeEach(async () => {
  api = createApp({ plans, jobMs: 0 });
  served = await listen(api.app);
});
afterEach(async () => {
  await served.close();
  await api.close();
});
afterAll(closeArchiveWorkers);

const shapes = ['/assemblies', '/v0/batch/jobs'];
const create = (path: string, key = 'acme'): request.Test =>
  request(served.url).post(path).set('Authorization', `Bearer ${key}`);

const used = async (): Promise<number[]> => {
  const answer = await request(served.url).get('/limits').set('Authorization', 'Bearer acme').expect(200);
  return (answer.body as CustomerUsage).limits.map(({ used }) => used);
};

const zipOf = (entries: number): Buffer =>
  writeZip(Array.from({ length: entries }, (_, index) => ({ name: `${index}.txt`, data: 'content' })));
const urls = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `https://example.com/${index}.mp4`);

describe.each(shapes)('%s refuses, and charges nothing for', (path) => {
  const large = Buffer.alloc(100 * 1024 + 1);
  it.each<[string, number, string, (test: request.Test) => request.Test]>([
    ['a file that is too large', 413, 'FILE_TOO_LARGE', (t) => t.attach('f', large, 'a.mp4')],
    [
      'files that are too many',
      413,
      'TOO_MANY_FILES',
      (t) => [1, 2, 3, 4].reduce((test) => test.attach('f', Buffer.from('x'), 'a.mp4'), t),
    ],
    [
      'an archive with too many entries',
      413,
      'ARCHIVE_TOO_MANY_ENTRIES',
      (t) => t.attach('f', zipOf(3), 'a'),
    ],
    [
      'an archive that leads out of itself',
      422,
      'ARCHIVE_PATH_TRAVERSAL',
      (t) => t.attach('f', writeTar([{ name: '../a', data: 'x' }]), 'a'),
    ],
    ['too many URLs', 413, 'TOO_MANY_URLS', (t) => t.send({ urls: urls(3) })],
    ['a private address', 422, 'PRIVATE_ADDRESS', (t) => t.send({ urls: ['http://10.0.0.1/'] })],
  ])('%s', async (_what, status, error, send) => {
    const answer = await send(create(path)).expect(status);
    expect(answer.body).toMatchObject({ error });
    expect(answer.headers['retry-after']).toBeUndefined();
    expect(await used()).toEqual([0, 0]);
    const files = await ownTempDir(tmpdir());
    let left: string[] | undefined;
    await until(() => (void readdir(files).then((names) => (left = names)), left?.length === 0));
  });

  it('a file that is too large, to a client that is still sending it', async () => {
    const body = formBody('b', [{ name: 'f', filename: 'a.mp4', value: Buffer.alloc(300_000) }]);
    const req = httpRequest(`${served.url}${path}`, {
      method: 'POST',
      headers: { Authorization: 'Bearer acme', 'Content-Type': 'multipart/form-data; boundary=b' },
    });
    // Half of it: the answer comes before the rest.
    req.write(body.subarray(0, 150_000));
    const [response] = (await once(req, 'response')) as [IncomingMessage];
    expect(response.statusCode).toBe(413);
    req.end(body.subarray(150_000));
    let text = '';
    for await (const chunk of response) text += String(chunk);
    expect(JSON.parse(text)).toMatchObject({ error: 'FILE_TOO_LARGE', info: { limit: 'max-file' } });
    expect(await used()).toEqual([0, 0]);
  });

  it('nothing, at the limits', async () => {
    await create(path)
      .field('urls', urls(2)[0]!)
      .field('urls', urls(2)[1]!)
      .attach('f', large.subarray(1), 'a.mp4')
      .attach('f', zipOf(2), 'a.zip')
      .attach('f', Buffer.from('x'), 'a.txt')
      .expect(200);
    expect((await used())[0]).toBe(1);
  });

  it('what a plan does not limit: forms are read and URLs checked all the same', async () => {
    await create(path, 'bare').attach('f', Buffer.alloc(300_000), 'a.mp4').expect(200);
    const answer = await create(path, 'bare')
      .send({ urls: ['ftp://example.com/'] })
      .expect(422);
    expect(answer.body).toMatchObject({ error: 'URL_SCHEME' });
  });
});

it.each([
  [
    '/assemblies',
    'params',
    { steps: { a: { robot: '/http/import', url: urls(2) }, b: { robot: '/http/import', url: urls(3)[2] } } },
  ],
  ['/v0/batch/jobs', 'json', { urls: urls(3) }],
])('%s looks for URLs in the field %s', async (path, field, value) => {
  const answer = await create(path).field(field, JSON.stringify(value)).expect(413);
  expect(answer.body).toMatchObject({ error: 'TOO_MANY_URLS', info: { allowed: 2, received: 3 } });
  expect(await used()).toEqual([0, 0]);
});

it('an archive’s report has the number of its entries', async () => {
  const send = (path: string): request.Test =>
    create(path).attach('f', Buffer.from('x'), 'a.txt').attach('f', zipOf(2), 'a.zip');
  const made = (await send('/assemblies').expect(200)).body as { assembly_id: string };
  const job = (await send('/v0/batch/jobs').expect(200)).body as { job_id: string };
  const read = (path: string): request.Test =>
    request(served.url).get(path).set('Authorization', 'Bearer acme');
  // The jobs take no time; what the customer sees running is none when they are over.
  let running = 2;
  while (running > 0) running = ((await read('/limits')).body as CustomerUsage).running.length;
  const assembly = (await read(`/assemblies/${made.assembly_id}`)).body as object;
  expect(assembly).toMatchObject({
    results: {
      ':original': [{ name: 'a.txt' }, { name: 'a.zip', mime: 'application/zip', meta: { entries: 2 } }],
    },
  });
  const found = await read(`/v0/batch/jobs/${job.job_id}/predictions`).expect(200);
  expect(found.body).toMatchObject([{}, { results: { predictions: [{ file: 'a.zip', entries: 2 }] } }]);
});
