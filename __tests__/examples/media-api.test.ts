import { createHash } from 'node:crypto';
import { mkdtempSync, readdirSync, rmSync } from 'node:fs';
import { request as httpRequest } from 'node:http';
import { once } from 'node:events';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import request from 'supertest';
import type { MediaApi } from '../../examples/media-api/app.js';
import { createApp } from '../../examples/media-api/app.js';
import { curlLines } from '../../examples/media-api/curl-lines.js';
import type { PlansFile } from '../../examples/media-api/plans-file.js';
import { ManualClock, type CustomerUsage } from '../../lib/index.js';
import { listen, until, type Listening } from '../support/http.js';

const plans: PlansFile = {
  plans: {
    free: { creationRate: { limit: 3, window: '1m' }, concurrency: { limit: 2 } },
    roomy: { creationRate: { limit: 100, window: '1m' }, concurrency: { limit: 100 } },
  },
  customers: { acme: 'free', giant: 'roomy' },
  default: 'free',
};

/** Longer than any test takes: such a job is running until it is cancelled. */
const FOR_EVER = 2 ** 31 - 1;
const png = Buffer.concat([Buffer.from('\x89PNG\r\n\x1a\n', 'latin1'), Buffer.alloc(100_000, 7)]);
const sha256 = (data: Buffer | string): string => createHash('sha256').update(data).digest('hex');
const md5 = (data: Buffer | string): string => createHash('md5').update(data).digest('hex');
const params = (key: string, more: object = {}): string => JSON.stringify({ auth: { key }, ...more });
const urls = ['https://example.com/a.mp4', 'https://example.com/b.mp4'];
const bearer = (key: string): [string, string] => ['Authorization', `Bearer ${key}`];

interface Assembly {
  ok: string;
  assembly_id: string;
  assembly_ssl_url: string;
  results: Record<string, unknown[]>;
}

let api: MediaApi;
let served: Listening;

const serve = async (jobMs: number): Promise<void> => {
  api = createApp({ plans, jobMs });
  served = await listen(api.app);
};

afterEach(async () => {
  await served.close();
  await api.close();
});

const usage = async (key: string): Promise<CustomerUsage> =>
  (
    await request(served.url)
      .get('/limits')
      .set(...bearer(key))
      .expect(200)
  ).body as CustomerUsage;

const used = async (key: string): Promise<Record<string, number>> =>
  Object.fromEntries((await usage(key)).limits.map((limit) => [limit.name, limit.used]));

/** Waits for a job's end by what the customer sees of it. */
async function ended(key: string): Promise<void> {
  let running = 1;
  while (running > 0) running = (await usage(key)).running.length;
}

describe('assemblies', () => {
  const create = (key = 'giant', path = '/assemblies') =>
    request(served.url)
      .post(path)
      .set(...bearer(key))
      .send({ urls });
  const read = (id: string, key = 'giant') =>
    request(served.url)
      .get(`/assemblies/${id}`)
      .set(...bearer(key));

  it('reports hash, size and type of each file of a form, which names its customer', async () => {
    await serve(0);
    const text = 'Grüße';
    const created = await request(served.url)
      .post('/assemblies')
      .field('params', params('giant', { steps: { in: { robot: '/http/import', url: urls[0] } } }))
      .field('signature', 'sha384:00')
      .attach('image', png, 'a.png')
      .attach('note', Buffer.from(text), 'b.bin')
      .expect(200);
    const { assembly_id: id, assembly_ssl_url: url } = created.body as Assembly;
    expect(url).toMatch(new RegExp(`^http://127\\.0\\.0\\.1:\\d+/assemblies/${id}$`));
    await ended('giant');
    const body = (await read(id).expect(200)).body as Assembly;
    expect(body).toMatchObject({ ok: 'ASSEMBLY_COMPLETED', num_input_files: 3 });
    expect(body.results[':original']).toEqual([
      expect.objectContaining({
        name: 'a.png',
        field: 'image',
        size: png.length,
        mime: 'image/png',
        md5hash: md5(png),
        meta: { sha256: sha256(png) },
      }),
      expect.objectContaining({ name: 'b.bin', size: 7, mime: 'text/plain', meta: { sha256: sha256(text) } }),
      expect.objectContaining({ name: urls[0], field: null, meta: { sha256: sha256(urls[0]!) } }),
    ]);
  });

  it('takes JSON, and tells of the running job', async () => {
    await serve(FOR_EVER);
    const created = await create().expect(200);
    expect(created.body).toMatchObject({ ok: 'ASSEMBLY_EXECUTING', num_input_files: 2, results: {} });
    const { assembly_id: id } = created.body as Assembly;
    expect((await read(id).expect(200)).body).toEqual(created.body);
    expect((await usage('giant')).running).toEqual([expect.objectContaining({ id, state: 'running' })]);
  });

  it('answers a repeated id with the assembly that exists, and charges it once', async () => {
    await serve(FOR_EVER);
    const first = await create('acme', '/assemblies/mine').expect(200);
    expect(first.body).toMatchObject({ assembly_id: 'mine' });
    const again = await create('acme', '/assemblies/mine').expect(200);
    expect(again.body).toEqual(first.body);
    expect(await used('acme')).toEqual({ 'creation-rate': 1, concurrency: 1 });
  });

  it('lets two customers choose the same id', async () => {
    await serve(FOR_EVER);
    await create('acme', '/assemblies/mine').expect(200);
    await create('giant', '/assemblies/mine').send({ urls: [] }).expect(200);
    expect((await read('mine', 'acme').expect(200)).body).toMatchObject({ num_input_files: 2 });
    expect((await read('mine', 'giant').expect(200)).body).toMatchObject({ num_input_files: 0 });
  });

  it('cancels, which frees the slot', async () => {
    await serve(FOR_EVER);
    const { assembly_id: id } = (await create('acme').expect(200)).body as Assembly;
    await create('acme').expect(200);
    const refused = await create('acme').expect(413);
    expect(refused.body).toMatchObject({ error: 'RATE_LIMIT_REACHED', info: { limit: 'concurrency' } });
    const cancel = () =>
      request(served.url)
        .delete(`/assemblies/${id}`)
        .set(...bearer('acme'));
    const cancelled = await cancel().expect(200);
    expect(cancelled.body).toMatchObject({ ok: 'ASSEMBLY_CANCELED', assembly_id: id, results: {} });
    expect((await cancel().expect(200)).body).toEqual(cancelled.body);
    await create('acme').expect(200);
    expect(await used('acme')).toEqual({ 'creation-rate': 3, concurrency: 2 });
  });

  it('tells nobody of the jobs of others', async () => {
    await serve(FOR_EVER);
    await create('acme', '/assemblies/mine').expect(200);
    for (const id of ['mine', 'nobodys']) {
      expect((await read(id, 'giant').expect(404)).body).toEqual({
        error: 'JOB_NOT_FOUND',
        message: 'There is no such job',
      });
      await request(served.url)
        .delete(`/assemblies/${id}`)
        .set(...bearer('giant'))
        .expect(404);
    }
    expect((await read('mine', 'acme').expect(200)).body).toMatchObject({ ok: 'ASSEMBLY_EXECUTING' });
  });
});

describe('batch jobs', () => {
  const asAcme = (test: request.Test): request.Test => test.set('X-Hume-Api-Key', 'acme');

  it('goes from creation to predictions, for URLs and files', async () => {
    await serve(0);
    const created = await asAcme(request(served.url).post('/v0/batch/jobs'))
      .field('json', JSON.stringify({ urls }))
      .attach('file', png, 'a.png')
      .expect(200);
    const { job_id: id } = created.body as { job_id: string };
    expect(created.body).toEqual({ job_id: expect.stringMatching(/^[\w-]{22}$/) as string });
    await ended('acme');
    const job = await asAcme(request(served.url).get(`/v0/batch/jobs/${id}`)).expect(200);
    expect(job.body).toMatchObject({
      type: 'INFERENCE',
      job_id: id,
      user_id: 'acme',
      request: { urls, files: [{ filename: 'a.png', content_type: 'image/png', md5sum: md5(png) }] },
      state: { status: 'COMPLETED', num_predictions: 3, num_errors: 0 },
    });
    const found = await asAcme(request(served.url).get(`/v0/batch/jobs/${id}/predictions`)).expect(200);
    expect(found.body).toMatchObject([
      {
        source: { type: 'file', filename: 'a.png' },
        results: { predictions: [{ file: 'a.png', size: png.length, sha256: sha256(png) }], errors: [] },
      },
      ...urls.map((url) => ({ source: { type: 'url', url } })),
    ]);
  });

  it('has no predictions of a job that is running, and fails one that was cancelled', async () => {
    await serve(FOR_EVER);
    const created = await asAcme(request(served.url).post('/v0/batch/jobs')).send({ urls }).expect(200);
    const path = `/v0/batch/jobs/${(created.body as { job_id: string }).job_id}`;
    const state = async () => (await asAcme(request(served.url).get(path)).expect(200)).body as unknown;
    expect(await state()).toMatchObject({ state: { status: 'IN_PROGRESS' } });
    const early = await asAcme(request(served.url).get(`${path}/predictions`)).expect(400);
    expect(early.body).toMatchObject({ error: 'JOB_NOT_COMPLETED' });
    await asAcme(request(served.url).delete(path.replace('/v0/batch/jobs', '/assemblies'))).expect(200);
    expect(await state()).toMatchObject({ state: { status: 'FAILED' } });
    await asAcme(request(served.url).get('/v0/batch/jobs/other')).expect(404);
  });

  it('refuses with 429 what assemblies refuse with 413, on the same counters', async () => {
    await serve(0);
    for (let i = 0; i < 2; i += 1) {
      await asAcme(request(served.url).post('/v0/batch/jobs')).send({ urls }).expect(200);
      await ended('acme');
    }
    await request(served.url)
      .post('/assemblies')
      .set(...bearer('acme'))
      .expect(200);
    await ended('acme');
    const before = await usage('acme');
    const batch = await asAcme(request(served.url).post('/v0/batch/jobs')).send({ urls }).expect(429);
    const assembly = await request(served.url)
      .post('/assemblies')
      .set(...bearer('acme'))
      .expect(413);
    for (const { body, headers } of [batch, assembly]) {
      const { retryIn } = (body as { info: { retryIn: number } }).info;
      expect(body).toEqual({
        error: 'RATE_LIMIT_REACHED',
        message: 'Request limit reached',
        info: { retryIn, limit: 'creation-rate' },
      });
      expect(headers['retry-after']).toBe(String(retryIn));
    }
    expect((await usage('acme')).limits.map(({ used }) => used)).toEqual(
      before.limits.map(({ used }) => used),
    );
  });
});

describe('what jobs leave behind', () => {
  const DAY = 24 * 3_600_000;
  let clock: ManualClock;
  let directory: string;

  beforeEach(async () => {
    clock = new ManualClock();
    directory = mkdtempSync(join(tmpdir(), 'media-api-'));
    api = createApp({ plans, jobMs: 0, clock, directory });
    served = await listen(api.app);
  });
  afterEach(() => rmSync(directory, { recursive: true }));

  const as = (key: string, method: 'get' | 'post' | 'delete', path: string): request.Test => {
    const agent = request(served.url);
    return agent[method](path).set(...bearer(key));
  };
  /** The last of the sweeper's turns begins at the end of it. */
  const pass = async (ms: number): Promise<void> => {
    clock.advance(ms - 1_000);
    await new Promise((resolve) => setImmediate(resolve));
    clock.advance(1_000);
  };
  const files = (): number => readdirSync(directory).length;

  it('is in a directory until it expires, and then deleted, results first', async () => {
    await as('acme', 'post', '/assemblies/mine').send({ urls }).expect(200);
    await ended('acme');
    expect(files()).toBe(2);
    const batch = '/v0/batch/jobs/mine';
    const kept = (await as('acme', 'get', '/assemblies/mine').expect(200)).body as Assembly;
    expect(kept.results[':original']).toHaveLength(2);
    const { headers } = await as('acme', 'get', `${batch}/predictions`).expect(200);
    expect(headers['sunset']).toBe(new Date(Date.UTC(2026, 0, 2)).toUTCString());
    expect((await as('acme', 'get', '/limits').expect(200)).body).toMatchObject({ kept: [{ id: 'mine' }] });

    const deleted: unknown[] = [];
    api.limits.on('expired', ({ due }) => deleted.push(due));
    await pass(DAY);
    const gone = await as('acme', 'get', `${batch}/predictions`).expect(410);
    expect(gone.body).toMatchObject({
      error: 'JOB_EXPIRED',
      info: { expiredAt: '2026-01-02T00:00:00.000Z' },
    });
    await until(() => deleted.length === 1);
    expect(files()).toBe(1);
    const assembly = (await as('acme', 'get', '/assemblies/mine').expect(200)).body as Assembly;
    expect(assembly).toEqual({ ...kept, results: {} });
    expect((await as('acme', 'get', batch).expect(200)).body).toMatchObject({
      request: { urls },
      state: { status: 'COMPLETED', num_predictions: 2 },
    });

    await pass(89 * DAY);
    await until(() => deleted.length === 2);
    expect(files()).toBe(0);
    for (const path of ['/assemblies/mine', batch, `${batch}/predictions`]) {
      await as('acme', 'get', path).expect(404, /JOB_NOT_FOUND/);
    }
    // The id is free again.
    await as('acme', 'post', '/assemblies/mine').send({ urls: [] }).expect(200);
  });

  it('is read by other processes, which share the directory and the store', async () => {
    await as('acme', 'post', '/assemblies/mine').send({ urls }).expect(200);
    await ended('acme');
    const other = createApp({ plans, jobMs: 0, clock, directory, store: api.limits.store });
    const there = await listen(other.app);
    const answer = await request(there.url)
      .get('/v0/batch/jobs/mine/predictions')
      .set(...bearer('acme'))
      .expect(200);
    expect(answer.body).toHaveLength(2);
    await there.close();
    await other.close();
  });

  it('of a cancelled job is what is known of it', async () => {
    await api.close();
    await served.close();
    api = createApp({ plans, jobMs: FOR_EVER, clock, directory });
    served = await listen(api.app);
    await as('acme', 'post', '/assemblies/mine').send({ urls }).expect(200);
    await as('acme', 'delete', '/assemblies/mine').expect(200);
    expect(files()).toBe(1);
    await as('acme', 'get', '/v0/batch/jobs/mine/predictions').expect(400, /it is cancelled/);
  });
});

describe('customers', () => {
  const ways: [string, (test: request.Test) => request.Test][] = [
    ['a bearer token', (test) => test.set(...bearer('acme'))],
    ['X-Hume-Api-Key', (test) => test.set('X-Hume-Api-Key', 'acme')],
    ['params in the form', (test) => test.field('params', params('acme')).attach('f', png, 'a.png')],
    ['params in the URL', (test) => test.query({ params: params('acme') })],
  ];

  it.each(ways)('are named by %s', async (_way, named) => {
    await serve(FOR_EVER);
    await named(request(served.url).post('/assemblies')).expect(200);
    await named(request(served.url).post('/v0/batch/jobs')).expect(200);
    expect(await used('acme')).toEqual({ 'creation-rate': 2, concurrency: 2 });
  });

  it('cancel and read by params too', async () => {
    await serve(FOR_EVER);
    await request(served.url).post('/assemblies/mine').field('params', params('acme')).expect(200);
    const read = await request(served.url)
      .get('/assemblies/mine')
      .query({ params: params('acme') });
    expect(read.body).toMatchObject({ ok: 'ASSEMBLY_EXECUTING' });
    const gone = await request(served.url)
      .delete('/assemblies/mine')
      .field('params', params('acme'))
      .expect(200);
    expect(gone.body).toMatchObject({ ok: 'ASSEMBLY_CANCELED' });
  });

  it.each([
    ['POST', '/assemblies'],
    ['POST', '/assemblies/x'],
    ['GET', '/assemblies/x'],
    ['DELETE', '/assemblies/x'],
    ['POST', '/v0/batch/jobs'],
    ['GET', '/v0/batch/jobs/x'],
    ['GET', '/v0/batch/jobs/x/predictions'],
    ['GET', '/limits'],
  ] as const)('must be named: %s %s', async (method, path) => {
    await serve(0);
    const verb = method.toLowerCase() as 'get' | 'post' | 'delete';
    const answer = await request(served.url)[verb](path).expect(401);
    expect(answer.body).toMatchObject({ error: 'CUSTOMER_MISSING' });
    expect(answer.headers['www-authenticate']).toBe('Bearer');
  });

  it('that no file lists have the default plan, or are not let in where there is none', async () => {
    await serve(0);
    expect((await usage('constructor')).plan).toBe('free');
    api.setPlans({ plans: plans.plans, customers: { giant: 'roomy' } });
    expect((await usage('giant')).plan).toBe('roomy');
    await request(served.url)
      .get('/limits')
      .set(...bearer('constructor'))
      .expect(401);
  });
});

describe('plans', () => {
  it('are replaced at once, and wrong ones leave the old in force', async () => {
    await serve(0);
    expect((await usage('acme')).limits[0]).toMatchObject({ limit: 3 });
    const wrong = { ...plans, customers: {}, plans: { free: { creationRate: { limit: -1, window: '1m' } } } };
    expect(() => api.setPlans(wrong)).toThrow(/plans\.free\.creationRate\.limit/);
    expect((await usage('acme')).limits[0]).toMatchObject({ limit: 3 });
    expect((await usage('giant')).plan).toBe('roomy');
    api.setPlans({ ...plans, customers: { acme: 'roomy' } });
    expect((await usage('acme')).limits[0]).toMatchObject({ limit: 100 });
  });

  it('give the commands to paste: the refusal asks for one job more than the smallest limit', async () => {
    await serve(0);
    const [creation, refusal, where] = curlLines('http://x', plans);
    expect(creation!.command).toContain('Bearer giant');
    expect(refusal!.command).toContain("'http://x/assemblies?n=[1-3]'");
    expect(where!.command).toContain('http://x/limits');
    const boundless = curlLines('http://x', { plans: { free: {} }, customers: {}, default: 'free' });
    expect(boundless.map(({ shows }) => shows)).toEqual(['A creation', expect.stringContaining('left')]);
    const urls = (limit: number): string[] =>
      curlLines('http://x', { plans: { free: { urlCount: { limit } } }, customers: {}, default: 'free' }).map(
        ({ shows }) => shows,
      );
    expect(urls(7)[1]).toMatch(/allows 7 URLs, this sends one more/);
    expect(urls(100_000)).toHaveLength(2);
    const keptFor = (results: string): string[] =>
      curlLines('http://x', {
        plans: { free: { jobRetention: { results } } },
        customers: { acme: 'free' },
      }).map(({ shows }) => shows);
    expect(keptFor('30s')[1]).toMatch(/the plan 'free' keeps them for 30s/);
    expect(keptFor('24h')).toHaveLength(2);
  });
});

describe('bad input', () => {
  const form = (test: request.Test): request.Test => test.field('params', params('acme'));

  it.each<[string, number, string, (test: request.Test) => request.Test]>([
    ['broken JSON', 400, 'MALFORMED_BODY', (t) => t.type('json').send('{"urls"')],
    ['no URL', 422, 'URL_INVALID', (t) => t.send({ urls: ['nowhere'] })],
    ['a list', 415, 'UNSUPPORTED_BODY', (t) => t.send(urls)],
    ['another type', 415, 'UNSUPPORTED_BODY', (t) => t.type('text').send('hello')],
    ['a form without boundary', 400, 'MALFORMED_BODY', (t) => t.type('multipart/form-data').send('x')],
    ['files by tus', 400, 'TUS_NOT_OFFERED', (t) => form(t).field('tus_num_expected_upload_files', 1)],
    ['params twice', 400, 'FIELD_INVALID', (t) => form(form(t))],
    ['a large field', 413, 'FIELDS_TOO_LARGE', (t) => t.field('note', 'x'.repeat(1_100_000))],
  ])('%s is told, and charges nothing', async (_name, status, error, send) => {
    await serve(0);
    const answer = await send(
      request(served.url)
        .post('/assemblies')
        .set(...bearer('acme')),
    ).expect(status);
    expect(answer.body).toMatchObject({ error });
    expect(await used('acme')).toEqual({ 'creation-rate': 0, concurrency: 0 });
  });

  it('an unknown route is told', async () => {
    await serve(0);
    await request(served.url)
      .get('/elsewhere')
      .expect(404, /NOT_FOUND/);
  });

  it('a client that goes away in the middle of its file gets its slot back', async () => {
    await serve(0);
    const req = httpRequest(`${served.url}/assemblies`, {
      method: 'POST',
      headers: { Authorization: 'Bearer acme', 'Content-Type': 'multipart/form-data; boundary=b' },
    });
    req.on('error', () => {});
    req.write('--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\nbegun');
    const decided: unknown[] = [];
    const refunded: unknown[] = [];
    api.limits.on('decision', (decision) => decided.push(decision));
    api.limits.on('refund', (refund) => refunded.push(refund));
    await until(() => decided.length === 1);
    req.destroy();
    await until(() => refunded.length === 1);
    expect(await used('acme')).toEqual({ 'creation-rate': 0, concurrency: 0 });
  });
});

test('a refused upload is answered while its file is still on its way', async () => {
  await serve(FOR_EVER);
  for (const id of ['a', 'b']) {
    await request(served.url).post(`/assemblies/${id}`).field('params', params('acme')).expect(200);
  }
  const req = httpRequest(`${served.url}/assemblies`, {
    method: 'POST',
    headers: { 'Content-Type': 'multipart/form-data; boundary=b', 'Content-Length': 1024 ** 3 },
  });
  req.on('error', () => {});
  const field = `--b\r\nContent-Disposition: form-data; name="params"\r\n\r\n${params('acme')}\r\n`;
  const file = '--b\r\nContent-Disposition: form-data; name="f"; filename="f"\r\n\r\n';
  req.write(`${field}${file}${'x'.repeat(1000)}`);
  const [response] = (await once(req, 'response')) as [import('node:http').IncomingMessage];
  expect(response.statusCode).toBe(413);
  req.destroy();
});
