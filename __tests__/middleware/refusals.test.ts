import { request as httpRequest } from 'node:http';
import request from 'supertest';
import type { JobLimitsOptions, LimitsEvents } from '../../lib/index.js';
import { StoreError } from '../../lib/index.js';
import { expressVersions } from '../support/apps.js';
import { created, jobApi, listen } from '../support/job-api.js';

const oneA = (window: string): Partial<JobLimitsOptions> => ({
  plans: { free: { creationRate: { limit: 1, window } } },
});

describe.each(expressVersions)('refusals on %s', (_name, express) => {
  async function refusedBy(options: Partial<JobLimitsOptions>, own = {}) {
    const api = jobApi(express, ({ admission }) => [admission(own), created], options);
    await request(api.app).post('/jobs');
    return { ...api, answer: await request(api.app).post('/jobs') };
  }

  it('deniedStatus: 429 for an API in that manner', async () => {
    const { answer } = await refusedBy({ ...oneA('1m'), deniedStatus: 429 });
    expect(answer.status).toBe(429);
    expect(answer.headers['retry-after']).toBe('60');
    expect(answer.body).toEqual({
      error: 'RATE_LIMIT_REACHED',
      message: 'Request limit reached',
      info: { retryIn: 60, limit: 'creation-rate' },
    });
  });

  it('set for one middleware it is stronger than for all', async () => {
    const { answer } = await refusedBy({ ...oneA('1m'), deniedStatus: 429 }, { deniedStatus: 403 });
    expect(answer.status).toBe(403);
  });

  it.each([413, 429])(
    'a wait over an hour has a date, no retryIn, no Retry-After and is 413 (deniedStatus %i)',
    async (deniedStatus) => {
      const { answer, clock } = await refusedBy({ ...oneA('30d'), deniedStatus });
      expect(answer.status).toBe(413);
      expect(answer.headers['retry-after']).toBeUndefined();
      expect(answer.body).toEqual({
        error: 'RATE_LIMIT_REACHED',
        message: 'Request limit reached',
        info: {
          resetsAt: new Date(clock.wallNow() + 30 * 24 * 3_600_000).toISOString(),
          limit: 'creation-rate',
        },
      });
    },
  );

  it('maxWait moves that hour', async () => {
    const { answer } = await refusedBy({ ...oneA('30d'), maxWait: '60d' });
    expect(answer.headers['retry-after']).toBe(String(30 * 24 * 3600));
  });

  it('a limit of 0 is LIMIT_BLOCKED, which no waiting helps against', async () => {
    const { answer } = await refusedBy({
      plans: { none: { concurrency: { limit: 0 } } },
      deniedStatus: 429,
      help: 'https://example.com/plans',
    });
    expect(answer.status).toBe(413);
    expect(answer.headers['retry-after']).toBeUndefined();
    expect(answer.body).toEqual({
      error: 'LIMIT_BLOCKED',
      message: 'This limit allows no requests',
      info: { limit: 'concurrency', help: 'https://example.com/plans' },
    });
  });

  it("responses: 'problem' is RFC 9457 with the registered type", async () => {
    const { answer } = await refusedBy({ ...oneA('1m'), responses: 'problem' });
    expect(answer.status).toBe(429);
    expect(answer.headers['content-type']).toBe('application/problem+json');
    expect(JSON.parse(answer.text)).toEqual({
      type: 'https://iana.org/assignments/http-problem-types#quota-exceeded',
      title: 'Request limit reached',
      status: 429,
      code: 'RATE_LIMIT_REACHED',
      'violated-policies': ['creation-rate'],
      retryIn: 60,
      limit: 'creation-rate',
    });
  });

  it('a function makes the whole answer', async () => {
    const { answer } = await refusedBy({
      ...oneA('1m'),
      responses: (refusal, req) => ({
        status: 420,
        headers: { 'X-Limit': refusal.limit! },
        body: `${req.path} may be tried again in ${refusal.retryAfterMs} ms`,
      }),
    });
    expect(answer.status).toBe(420);
    expect(answer.headers).toMatchObject({ 'x-limit': 'creation-rate', 'cache-control': 'no-store' });
    expect(answer.text).toBe('/jobs may be tried again in 60000 ms');
  });

  it('a function that throws is an error with a code, and charges nothing', async () => {
    const { answer, used } = await refusedBy({
      ...oneA('1m'),
      responses: () => {
        throw new Error('oops');
      },
    });
    expect(answer.status).toBe(500);
    expect(answer.body).toMatchObject({ code: 'RESPONSE_FAILED' });
    expect((await used())['creation-rate']).toBe(1);
  });

  it("responses: 'next' hands a LimitError to the app's error handler", async () => {
    const { answer } = await refusedBy({ ...oneA('1m'), responses: 'next' });
    expect(answer.status).toBe(413);
    expect(answer.body).toEqual({ code: 'RATE_LIMIT_REACHED', message: 'Request limit reached' });
  });

  it('in shadow mode decides, tells and refuses nothing', async () => {
    const api = jobApi(express, ({ admission }) => [admission(), created], {
      plans: { free: { creationRate: { limit: 1, window: '1m', mode: 'shadow' } } },
    });
    const decisions: LimitsEvents['decision'][] = [];
    api.limits.on('decision', (event) => decisions.push(event));
    for (let i = 0; i < 2; i += 1) {
      const { headers } = await request(api.app).post('/jobs').expect(201);
      expect(headers['ratelimit']).toBeUndefined();
    }
    expect(decisions.map(({ decision }) => decision.shadowed)).toEqual([[], ['creation-rate']]);
    expect((await api.used())['creation-rate']).toBe(1);
  });

  it('the handler is not reached, and the answer reaches a client in the middle of sending', async () => {
    let handled = 0;
    const api = jobApi(
      express,
      ({ admission }) => [admission(), (req, res) => (handled++, created(req, res))],
      oneA('1m'),
    );
    const { port, close } = await listen(api.app);
    const send = (megabytes: number, headers = {}) =>
      new Promise<{ status: number; body: string; connection: string | undefined }>((resolve, reject) => {
        const client = httpRequest({ port, host: '127.0.0.1', method: 'POST', path: '/jobs', headers });
        client.on('error', reject);
        client.on('response', (res) => {
          let body = '';
          res.on('data', (chunk: Buffer) => (body += chunk.toString()));
          res.on('end', () => resolve({ status: res.statusCode!, body, connection: res.headers.connection }));
        });
        for (let i = 0; i < megabytes; i += 1) client.write(Buffer.alloc(1024 * 1024));
        client.end('end');
      });
    await send(0);
    for (const headers of [{}, { 'Content-Length': 20 * 1024 * 1024 + 3 }]) {
      const refused = await send(20, headers);
      expect(refused.status).toBe(413);
      expect(JSON.parse(refused.body)).toMatchObject({ error: 'RATE_LIMIT_REACHED' });
      expect(refused.connection).toBe('close');
    }
    expect((await send(0)).status).toBe(413);
    expect(handled).toBe(1);
    await close();
  });

  it('a small body does not cost the connection', async () => {
    const api = jobApi(express, ({ admission }) => [admission(), created], oneA('1m'));
    const { port, close } = await listen(api.app);
    const post = () =>
      fetch(`http://127.0.0.1:${port}/jobs`, {
        method: 'POST',
        body: JSON.stringify({ urls: ['https://example.com'] }),
      });
    await (await post()).text();
    const refused = await post();
    expect(refused.status).toBe(413);
    expect(refused.headers.get('connection')).toBe('keep-alive');
    await refused.text();
    await close();
  });

  it('a store that fails is answered 503, told, and nobody is let through', async () => {
    const api = jobApi(express, ({ admission }) => [admission(), created]);
    api.store.admit = () => Promise.reject(new StoreError('STORE_UNAVAILABLE', 'gone'));
    const errors: LimitsEvents['store-error'][] = [];
    api.limits.on('store-error', (event) => errors.push(event));
    const answer = await request(api.app).post('/jobs').expect(503);
    expect(answer.body).toEqual({
      error: 'STORE_UNAVAILABLE',
      message: 'Limits can not be checked right now',
      info: { retryIn: 1 },
    });
    expect(errors.map(({ operation }) => operation)).toEqual(['admit']);
  });

  it('a commit that the store fails is tried again until it succeeds', async () => {
    const api = jobApi(express, ({ admission }) => [admission(), created]);
    const commit = api.store.commit.bind(api.store);
    let failures = 2;
    api.store.commit = (...args) =>
      failures-- > 0 ? Promise.reject(new StoreError('STORE_UNAVAILABLE', 'gone')) : commit(...args);
    await request(api.app).post('/jobs').expect(201);
    const state = async () => (await api.store.usage('acme', [])).running[0]?.state;
    expect(await state()).toBe('pending');
    for (let i = 0; i < 2; i += 1) {
      api.clock.advance(20_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await state()).toBe('running');
  });
});
