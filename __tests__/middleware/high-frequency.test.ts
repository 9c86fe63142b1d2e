import { once } from 'node:events';
import { get, request as httpRequest, type IncomingMessage, type Server } from 'node:http';
import { Readable } from 'node:stream';
import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import express, { type Express, type Request, type Response } from 'express';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import supertest from 'supertest';
import { Agent, fetch, request } from 'undici';
import { ManualClock } from '../../lib/clock.js';
import { ConfigError } from '../../lib/errors.js';
import { highFrequency, type HighFrequency } from '../../lib/middleware/high-frequency.js';
import type { GuardRow } from '../../lib/guard/guard.js';
import type { HighFrequencyOptions } from '../../lib/middleware/high-frequency-options.js';
import { expressVersions } from '../support/apps.js';
import { closed, listening, rawClient, serverOf, until } from '../support/sockets.js';

const BODY = {
  error: '429 Too Many Requests',
  message: 'HAProxy thinks you have sent too many requests in a given amount of time. ',
};
const requests = (limit: number): HighFrequencyOptions => ({ requests: { limit, window: '10s' } });

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map(closed));
});

interface App {
  app: Express;
  guard: HighFrequency;
  clock: ManualClock;
  server: Server;
  events: [event: string, value: unknown][];
  url: string;
  port: number;
  get: (
    path?: string,
    headers?: Record<string, string>,
  ) => Promise<{ status: number; headers: Headers; body: unknown }>;
}

type Make = () => Express;

async function appWith(
  options: HighFrequencyOptions,
  configure: (app: Express, guard: HighFrequency) => void = (app, guard) => app.use(guard),
  make: Make = express,
): Promise<App> {
  const clock = new ManualClock();
  const events: App['events'] = [];
  const guard = highFrequency({ clock, emit: (event, value) => events.push([event, value]), ...options });
  const app = make();
  configure(app, guard);
  app.get('/status/:status', (req, res) => void res.sendStatus(Number(req.params.status)));
  app.all('/', (_req, res) => void res.send('ok'));
  const server = serverOf(app);
  guard.attach(server);
  servers.push(server);
  const port = await listening(server);
  const url = `http://127.0.0.1:${port}`;
  return {
    app,
    guard,
    clock,
    server,
    events,
    url,
    port,
    async get(path = '/', headers = {}) {
      const res = await fetch(url + path, { headers });
      const text = await res.text();
      const isJson = res.headers.get('content-type')?.includes('json') ?? false;
      return { status: res.status, headers: res.headers, body: isJson ? JSON.parse(text) : text };
    },
  };
}

async function statuses(app: App, times: number, path = '/', headers = {}): Promise<number[]> {
  const all: number[] = [];
  for (let sent = 0; sent < times; sent += 1) all.push((await app.get(path, headers)).status);
  return all;
}

describe.each(expressVersions)('on %s', (_name, make) => {
  test('exactly the limit passes, then the answer is the one clients know', async () => {
    const app = await appWith(requests(3), undefined, make);
    expect(await statuses(app, 3)).toEqual([200, 200, 200]);
    const { status, headers, body } = await app.get();
    expect({ status, body }).toEqual({ status: 429, body: BODY });
    expect(headers.get('content-type')).toBe('application/json; charset=utf-8');
    expect(headers.get('cache-control')).toBe('no-store');
    const wait = Number(headers.get('retry-after'));
    app.clock.advance(wait * 1000);
    expect((await app.get()).status).toBe(200);
  });

  test('4xx answers of the application are errors, whoever gives them and however', async () => {
    const app = await appWith(
      { errors: { limit: 100 } },
      (app, guard) => {
        app.use(guard);
        app.get('/thrown', () => {
          throw Object.assign(new Error('no'), { status: 400 });
        });
        app.get('/head', (_req, res) => void res.writeHead(410, 'Gone Fishing', { 'X-A': '1' }).end());
        app.get('/piped', (_req, res) => void Readable.from(['a', 'b']).pipe(res.status(404)));
        app.get('/limited', (_req, res) => void res.status(429).json({}));
        app.use((error: Error & { status: number }, _req: Request, res: Response, _next: unknown) => {
          res.sendStatus(error.status);
        });
      },
      make,
    );
    for (const path of ['/thrown', '/head', '/piped', '/limited', '/not-there', '/status/404'])
      await app.get(path);
    for (const path of ['/', '/status/204', '/status/304', '/status/500']) await app.get(path);
    expect(app.guard.guard.table()).toMatchObject([{ readings: { errors: 6 } }]);
  });

  test('with a limit of 8 errors, nine 404s in a row pass', async () => {
    const app = await appWith({ errors: { limit: 8 } }, undefined, make);
    expect(await statuses(app, 12, '/not-there')).toEqual([...Array<number>(9).fill(404), 429, 429, 429]);
  });

  test('an error of client(req) goes to the error handler', async () => {
    const app = await appWith({ ...requests(3), client: () => '' }, undefined, make);
    const failed: unknown[] = [];
    app.app.use((error: Error & { code: string }, _req: Request, res: Response, _next: unknown) => {
      failed.push(error.code);
      res.sendStatus(500);
    });
    expect(await statuses(app, 1)).toEqual([500]);
    expect(failed).toEqual(['CLIENT_INVALID']);
  });
});

describe('errors', () => {
  test('an answer that comes after the client has gone counts as any other', async () => {
    let answer = (): void => {};
    const app = await appWith({ errors: { limit: 100 } }, (app, guard) => {
      app.use(guard);
      app.get('/slow', (_req, res) => {
        answer = () => void res.sendStatus(404);
      });
    });
    const client = await rawClient(app.port);
    const closing = new Promise((resolve) =>
      app.server.once('request', (req: IncomingMessage) => req.once('close', resolve)),
    );
    client.socket.write('GET /slow HTTP/1.1\r\nHost: a\r\n\r\n');
    await once(app.server, 'request');
    client.socket.destroy();
    await closing;
    answer();
    expect(app.guard.guard.table()).toMatchObject([{ readings: { errors: 1 } }]);
  });

  test('an answer before the body has arrived counts, whatever becomes of the body', async () => {
    const app = await appWith({ errors: { limit: 100 } }, (app, guard) => {
      app.use(guard);
      app.post('/early', (_req, res) => void res.set('Connection', 'close').sendStatus(413));
    });
    const client = await rawClient(app.port);
    client.socket.write('POST /early HTTP/1.1\r\nHost: a\r\nContent-Length: 1000000\r\n\r\nabc');
    expect(await client.answers(1)).toEqual([413]);
    client.socket.destroy();
    await until(() => app.guard.guard.table()[0]?.readings.errors === 1);
  });

  test('are what isError says', async () => {
    const isError = (_req: Request, res: Response): boolean =>
      res.statusCode === 500 || res.get('X-Bad') === '1';
    const app = await appWith({ errors: { limit: 100, isError } }, (app, guard) => {
      app.use(guard);
      app.get('/bad', (_req, res) => void res.set('X-Bad', '1').send('ok'));
    });
    for (const path of ['/status/500', '/bad', '/status/404', '/']) await app.get(path);
    expect(app.guard.guard.table()).toMatchObject([{ readings: { errors: 2 } }]);
  });

  test('an isError that throws breaks nothing, and is told', async () => {
    const isError = (): boolean => {
      throw new Error('no');
    };
    const app = await appWith({ errors: { limit: 100, isError } });
    expect(await statuses(app, 1, '/status/404')).toEqual([404]);
    expect(app.guard.guard.table()).toMatchObject([{ readings: { errors: 1 } }]);
    expect(app.events).toMatchObject([['warning', { code: 'GUARD_IS_ERROR_FAILED' }]]);
  });

  test("the guard's refusals are none, unless asked", async () => {
    const limits = { ...requests(2), errors: { limit: 100 } };
    const returning = await appWith(limits);
    const denying = await appWith({ ...limits, countRefusalsAsErrors: true });
    await statuses(returning, 5);
    await statuses(denying, 5);
    expect(returning.guard.guard.table()).toMatchObject([{ readings: { requests: 5, errors: 0 } }]);
    expect(denying.guard.guard.table()).toMatchObject([{ readings: { requests: 5, errors: 3 } }]);
  });
});

describe('a refusal', () => {
  test('keeps the connection alive', async () => {
    const app = await appWith(requests(1));
    const client = await rawClient(app.port);
    for (let sent = 1; sent <= 3; sent += 1) {
      client.socket.write('GET / HTTP/1.1\r\nHost: a\r\n\r\n');
      await client.answers(sent);
    }
    expect(client.statuses).toEqual([200, 429, 429]);
    client.socket.destroy();
  });

  test.each([1_000, 2_000_000])('reaches every client that posts %d bytes', async (size) => {
    const app = await appWith(requests(1));
    await app.get();
    const body = Buffer.alloc(size);
    const agent = new Agent();
    const answers = [
      await fetch(app.url, { method: 'POST', body }).then(async (res) => [res.status, await res.json()]),
      await request(app.url, { method: 'POST', body, dispatcher: agent }).then(async (res) => [
        res.statusCode,
        await res.body.json(),
      ]),
      await new Promise<unknown[]>((resolve, reject) => {
        const sent = httpRequest(app.url, { method: 'POST' }, (res) => {
          res.setEncoding('utf8').once('data', (text: string) => resolve([res.statusCode, JSON.parse(text)]));
        });
        sent.once('error', reject).end(body);
      }),
    ];
    expect(answers).toEqual(Array(3).fill([429, BODY]));
    await agent.close();
  });

  test('is made as the options say', async () => {
    const helped = await appWith({ ...requests(1), help: 'Write to us.', message: 'Slow down.' });
    const problem = await appWith({ ...requests(1), responses: 'problem', message: 'Slow down.' });
    const own = await appWith({
      ...requests(1),
      responses: ({ code, violated }) => ({
        status: 420,
        headers: { 'X-Code': code },
        body: violated.join(),
      }),
    });
    const errors: unknown[] = [];
    const next = await appWith({ ...requests(1), responses: 'next' });
    next.app.use((error: { status: number }, _req: Request, res: Response, _next: unknown) => {
      errors.push(error);
      res.sendStatus(error.status);
    });
    for (const app of [helped, problem, own, next]) await app.get();
    expect((await helped.get()).body).toEqual({
      error: '429 Too Many Requests',
      message: 'Slow down.',
      info: { help: 'Write to us.' },
    });
    const { status, headers, body } = await problem.get();
    expect(headers.get('content-type')).toBe('application/problem+json');
    expect({ status, body }).toMatchObject({
      status: 429,
      body: {
        type: 'https://iana.org/assignments/http-problem-types#abnormal-usage-detected',
        title: 'Slow down.',
        status: 429,
        code: 'HIGH_FREQUENCY',
        'violated-policies': ['requests'],
      },
    });
    const owned = await own.get();
    expect([owned.status, owned.headers.get('x-code'), owned.body]).toEqual([
      420,
      'HIGH_FREQUENCY',
      'requests',
    ]);
    expect((await next.get()).status).toBe(429);
    expect(errors).toMatchObject([
      {
        code: 'HIGH_FREQUENCY',
        status: 429,
        headers: { 'Retry-After': expect.stringMatching(/^\d+$/) as unknown },
      },
    ]);
  });

  test('is told, with what was read', async () => {
    const app = await appWith(requests(1));
    await statuses(app, 2);
    expect(app.events).toMatchObject([
      [
        'high-frequency',
        {
          client: '127.0.0.1',
          mode: 'enforce',
          decision: { allowed: false, violated: ['requests'], readings: { requests: 2 } },
        },
      ],
    ]);
  });
});

describe('who is counted', () => {
  test('a header changes nothing while trust proxy is off', async () => {
    const app = await appWith(requests(3));
    const all: number[] = [];
    for (let sent = 0; sent < 6; sent += 1) {
      const address = `203.0.113.${sent}`;
      all.push((await app.get('/', { 'X-Forwarded-For': address, Forwarded: `for=${address}` })).status);
    }
    expect(all).toEqual([200, 200, 200, 429, 429, 429]);
    expect(app.events).toContainEqual([
      'warning',
      expect.objectContaining({ code: 'FORWARDED_NOT_TRUSTED' }),
    ]);
  });

  test('with a hop count, only the right hop', async () => {
    const app = await appWith(requests(3), (app, guard) => app.set('trust proxy', 1).use(guard));
    const all: number[] = [];
    for (let sent = 0; sent < 6; sent += 1) {
      all.push((await app.get('/', { 'X-Forwarded-For': `198.51.100.${sent}, 203.0.113.9` })).status);
    }
    expect(all).toEqual([200, 200, 200, 429, 429, 429]);
    expect((await app.get('/', { 'X-Forwarded-For': '203.0.113.10' })).status).toBe(200);
  });

  test('an allowed range is neither counted nor refused', async () => {
    const app = await appWith({ ...requests(1), allow: ['127.0.0.0/8'] });
    expect(await statuses(app, 5)).toEqual(Array(5).fill(200));
    expect(app.guard.guard.clients).toBe(0);
  });

  test('behind a proxy an allowed range is that of the client', async () => {
    const options = { ...requests(1), allow: ['203.0.113.9'] };
    const app = await appWith(options, (app, guard) => app.set('trust proxy', 1).use(guard));
    expect(await statuses(app, 3, '/', { 'X-Forwarded-For': '203.0.113.9' })).toEqual([200, 200, 200]);
    expect(await statuses(app, 3, '/', { 'X-Forwarded-For': '203.0.113.10' })).toEqual([200, 429, 429]);
  });

  test('a named client by its name, whatever its address', async () => {
    const app = await appWith({ ...requests(2), client: (req) => req.get('X-Key') });
    expect(await statuses(app, 3, '/', { 'X-Key': 'a' })).toEqual([200, 200, 429]);
    expect(await statuses(app, 3, '/', { 'X-Key': 'b' })).toEqual([200, 200, 429]);
    expect(await statuses(app, 3)).toEqual([200, 200, 429]);
  });

  test('not what skip leaves out', async () => {
    const app = await appWith({ ...requests(1), skip: (req) => req.path === '/status/200' });
    expect(await statuses(app, 3, '/status/200')).toEqual([200, 200, 200]);
    expect(await statuses(app, 2)).toEqual([200, 429]);
  });

  test('a request by each of two guards apart, in routers and in sub-apps', async () => {
    const other = highFrequency({ ...requests(3), clock: new ManualClock() });
    const app = await appWith(requests(5), (app, guard) => {
      app.use(express.Router().use(guard), express().use(other));
    });
    expect(await statuses(app, 6)).toEqual([200, 200, 200, 429, 429, 429]);
    expect(app.guard.guard.table()).toMatchObject([{ readings: { requests: 6 }, refusals: 1 }]);
    expect(other.guard.table()).toMatchObject([{ readings: { requests: 5 }, refusals: 2 }]);
  });
});

describe('behind a trusted proxy', () => {
  const options: HighFrequencyOptions = { openConnections: { limit: 2 }, newConnections: { limit: 5 } };
  const from = { 'X-Forwarded-For': '203.0.113.9' };

  async function slowApp(): Promise<App & { held: Response[] }> {
    const held: Response[] = [];
    const app = await appWith(options, (app, guard) => {
      app.set('trust proxy', 1).use(guard);
      app.get('/slow', (_req, res) => void held.push(res));
    });
    return Object.assign(app, { held });
  }

  test('open connections are requests in flight, new connections are requests', async () => {
    const app = await slowApp();
    const slow = [app.get('/slow', from), app.get('/slow', from)];
    await until(() => app.held.length === 2);
    expect(await app.get('/', from)).toMatchObject({ status: 429 });
    expect((await app.get('/', { 'X-Forwarded-For': '203.0.113.10' })).status).toBe(200);
    app.held.forEach((res) => res.send('done'));
    await Promise.all(slow);
    const row = (): GuardRow => app.guard.guard.table().find(({ client }) => client === '203.0.113.9')!;
    await until(() => row().readings['open-connections'] === 0);
    expect(await statuses(app, 3, '/', from)).toEqual([200, 200, 429]);
  });

  test("the proxy's own connections count for nobody, its health checks as its own requests", async () => {
    const app = await slowApp();
    expect((await app.get('/', from)).status).toBe(200);
    const idle = await Promise.all([1, 2, 3, 4, 5, 6].map(() => rawClient(app.port)));
    expect(await statuses(app, 3)).toEqual([200, 200, 200]);
    expect((await app.get('/', from)).status).toBe(200);
    const own = app.guard.guard.table().filter((row) => row.client === '127.0.0.1');
    expect(own).toMatchObject([
      { proxied: true, readings: { 'new-connections': 3 } },
      // The one that was open before the first request told who is trusted.
      { proxied: false, readings: { 'new-connections': 1 } },
    ]);
    idle.forEach(({ socket }) => socket.destroy());
  });

  test('pipelined requests whose connection breaks are over with it', async () => {
    const app = await slowApp();
    const client = await rawClient(app.port);
    client.socket.write('GET /slow HTTP/1.1\r\nHost: a\r\nX-Forwarded-For: 203.0.113.9\r\n\r\n'.repeat(2));
    await until(() => app.held.length === 2);
    const rows = (): unknown[] => app.guard.guard.table().filter((row) => row.client === '203.0.113.9');
    expect(rows()).toMatchObject([{ proxied: true, readings: { 'open-connections': 2 } }]);
    client.socket.destroy();
    await until(() => app.guard.guard.table().every((row) => row.readings['open-connections'] === 0));
    expect(rows()).toMatchObject([{ readings: { 'open-connections': 0, 'new-connections': 2 } }]);
  });
});

describe('shadow mode', () => {
  test('decides and tells, but refuses nothing and bans nobody', async () => {
    const app = await appWith({
      ...requests(1),
      errors: { limit: 100 },
      mode: 'shadow',
      countRefusalsAsErrors: true,
      ban: { after: 1, window: '1m', for: '1h' },
    });
    expect(await statuses(app, 3)).toEqual([200, 200, 200]);
    expect(app.events.map(([event, value]) => [event, (value as { mode: string }).mode])).toEqual([
      ['high-frequency', 'shadow'],
      ['high-frequency', 'shadow'],
    ]);
    expect(app.guard.guard.table()).toMatchObject([{ readings: { requests: 3, errors: 0 } }]);
  });
});

describe('a ban', () => {
  const ban = { after: 3, window: '1m', for: '10m' };

  test('follows so many refusals, refuses all, and ends', async () => {
    const app = await appWith({ ...requests(2), ban });
    expect(await statuses(app, 6)).toEqual([200, 200, 429, 429, 429, 429]);
    const bans = app.events.filter(([event]) => event === 'ban');
    expect(bans).toEqual([['ban', { client: '127.0.0.1', forMs: 600_000, began: true }]]);
    app.clock.advance(599_000);
    const last = await app.get();
    expect([last.status, last.headers.get('retry-after'), last.body]).toEqual([429, '1', BODY]);
    app.clock.advance(1_000);
    expect((await app.get()).status).toBe(200);
  });

  test('is shared through a limiter: another process bans at the first request that it refuses', async () => {
    const limiter = new RateLimiterMemory({ points: 1, duration: 1 });
    const first = await appWith({ ...requests(2), ban: { ...ban, limiter } });
    const second = await appWith({ ...requests(2), ban: { ...ban, limiter } });
    await statuses(first, 5);
    expect(await statuses(second, 3)).toEqual([200, 200, 429]);
    // By its own counts the client could come back after this long.
    second.clock.advance(30_000);
    expect(await statuses(second, 1)).toEqual([429]);
    expect(second.guard.guard.table()).toMatchObject([{ client: '127.0.0.1', refusals: 2 }]);
  });

  test('asks the limiter nothing for requests that are allowed', async () => {
    const limiter = new RateLimiterMemory({ points: 1, duration: 1 });
    const calls: string[] = [];
    const counting = {
      penalty: (...args: Parameters<typeof limiter.penalty>) => (
        calls.push('penalty'),
        limiter.penalty(...args)
      ),
      set: (...args: Parameters<typeof limiter.set>) => (calls.push('set'), limiter.set(...args)),
      delete: (key: string) => limiter.delete(key),
    };
    const app = await appWith({ ...requests(20), ban: { ...ban, limiter: counting } });
    await statuses(app, 20);
    expect(calls).toEqual([]);
    await statuses(app, 10);
    expect(calls).toEqual(['penalty', 'penalty', 'penalty', 'set']);
  });

  test('longer than maxWait is answered without a time to wait, and not as 429', async () => {
    const app = await appWith({ ...requests(2), ban: { ...ban, for: '1d' } });
    await statuses(app, 5);
    const { status, headers, body } = await app.get();
    expect([status, headers.get('retry-after')]).toEqual([403, null]);
    const resetsAt = new Date(app.clock.wallNow() + 86_400_000).toISOString();
    expect(body).toEqual({ error: 'CLIENT_BANNED', message: BODY.message, info: { resetsAt, limit: 'ban' } });
  });

  test.each([['by unban'], ['by reset']])('can be lifted %s', async (how) => {
    const app = await appWith({ ...requests(2), ban });
    await statuses(app, 5);
    app.clock.advance(30_000);
    expect(await statuses(app, 1)).toEqual([429]);
    if (how === 'by reset') app.guard.reset();
    else await app.guard.guard.unban(app.guard.guard.table()[0]!.client);
    expect(await statuses(app, 1)).toEqual([200]);
  });
});

describe('options', () => {
  const bad: [string, unknown, string][] = [
    ['no limit', {}, 'CONFIG_MISSING_OPTION'],
    ['an unknown option', { request: { limit: 3 } }, 'CONFIG_UNKNOWN_OPTION'],
    ['an unknown option below', { requests: { limit: 3, windw: '1s' } }, 'CONFIG_UNKNOWN_OPTION'],
    ['a limit of 0 requests', { requests: { limit: 0 } }, 'CONFIG_INVALID_OPTION'],
    ['no number', { errors: { limit: '8' } }, 'CONFIG_INVALID_OPTION'],
    ['a window of nothing', { requests: { limit: 3, window: 0 } }, 'CONFIG_BAD_DURATION'],
    [
      'a window for open connections',
      { openConnections: { limit: 3, window: '1s' } },
      'CONFIG_UNKNOWN_OPTION',
    ],
    ['a range that is none', { ...requests(1), allow: ['10.0.0.0/40'] }, 'CONFIG_INVALID_OPTION'],
    ['a subnet of single addresses', { ...requests(1), ipv6Subnet: 128 }, 'CONFIG_LIMIT_TOO_LARGE'],
    ['a table that no machine has', { ...requests(1), maxClients: 1e9 }, 'CONFIG_LIMIT_TOO_LARGE'],
    [
      'a ban of nothing',
      { ...requests(1), ban: { after: 0, window: '1m', for: '1h' } },
      'CONFIG_INVALID_OPTION',
    ],
    ['a ban of no length', { ...requests(1), ban: { after: 1, window: '1m' } }, 'CONFIG_MISSING_OPTION'],
    [
      'a limiter that is none',
      { ...requests(1), ban: { after: 1, window: '1m', for: '1h', limiter: {} } },
      'CONFIG_INVALID_OPTION',
    ],
    ['an unknown mode', { ...requests(1), mode: 'off' }, 'CONFIG_INVALID_OPTION'],
    ['nothing at all', undefined, 'CONFIG_INVALID_OPTION'],
  ];
  test.each(bad)('%s is a ConfigError when the middleware is made', (_name, options, code) => {
    let error: unknown;
    try {
      highFrequency(options as HighFrequencyOptions);
    } catch (thrown) {
      error = thrown;
    }
    expect(error).toBeInstanceOf(ConfigError);
    expect(error).toMatchObject({ code, option: expect.stringMatching(/^highFrequency/) as unknown });
  });

  test('an app instead of a server is a ConfigError', () => {
    const guard = highFrequency(requests(1));
    expect(() => guard.attach(express() as unknown as Server)).toThrow(ConfigError);
  });
});

describe('1,000 servers that live for one request each', () => {
  test('are attached, counted and forgotten', async () => {
    const guard = highFrequency({
      clock: new ManualClock(),
      openConnections: { limit: 1_000 },
      newConnections: { limit: 100_000 },
      errors: { limit: 100_000 },
      requests: { limit: 100_000 },
    });
    const app = express().use(guard);
    app.get('/', (_req, res) => void res.send('ok'));
    const refs: WeakRef<object>[] = [];
    app.get('/server', (req, res) => {
      refs.push(new WeakRef((req.socket as unknown as { server: object }).server));
      res.send('ok');
    });
    for (let round = 0; round < 1_000; round += 1) {
      const { status } = await supertest(app).get(round % 2 === 0 ? '/server' : '/not-there');
      expect(status).toBe(round % 2 === 0 ? 200 : 404);
    }
    await until(() => guard.guard.table()[0]!.readings['open-connections'] === 0);
    expect(guard.guard.table()[0]!.readings).toEqual({
      'open-connections': 0,
      'new-connections': 1_000,
      errors: 500,
      requests: 1_000,
    });
    setFlagsFromString('--expose-gc');
    const collect = runInNewContext('gc') as () => void;
    await until(() => {
      collect();
      return refs.filter((ref) => ref.deref() !== undefined).length <= 5;
    });
  }, 60_000);
});

test('a plain Node request listener may call the guard without Express', async () => {
  const guard = highFrequency(requests(1));
  const server = serverOf((req, res) => guard(req as Request, res as Response, () => res.end('ok')));
  servers.push(server);
  const port = await listening(server);
  const statusesSeen: (number | undefined)[] = [];
  for (let sent = 0; sent < 2; sent += 1) {
    const [res] = (await once(get({ port, host: '127.0.0.1' }), 'response')) as [IncomingMessage];
    res.resume();
    statusesSeen.push(res.statusCode);
  }
  expect(statusesSeen).toEqual([200, 429]);
});
