import { gzipSync } from 'node:zlib';
import express5 from 'express';
import fc from 'fast-check';
import { fileSize } from '../../lib/middleware/file-size.js';
import {
  urlCount,
  urlCountOf,
  urlCountHandlingChecks,
  urlsOf,
  type UrlCountOptions,
} from '../../lib/middleware/url-count.js';
import { checkOptions } from '../../lib/options.js';
import { isPublicAddress } from '../../lib/uploads/urls.js';
import { expressVersions, jsonErrors } from '../support/apps.js';
import { formBody } from '../support/forms.js';
import { listen, rawSocket, until, type Listening } from '../support/http.js';

// A slow machine is no failure.
jest.setTimeout(30_000);

const servers: Listening[] = [];
afterEach(() => Promise.all(servers.splice(0).map((server) => server.close())));

async function serve(
  options: UrlCountOptions,
  { express = express5, before = [] as express5.RequestHandler[] } = {},
): Promise<string> {
  const app = express();
  app.use(...before, urlCount(options), (req: express5.Request, res: express5.Response) => {
    res.json(urlsOf(req));
  });
  const listening = await listen(jsonErrors(app));
  servers.push(listening);
  return listening.url;
}

type Body = NonNullable<RequestInit['body']>;

interface Answer {
  status: number;
  headers: Headers;
  body: unknown;
}
async function post(
  url: string,
  body: Body,
  type?: string,
  headers: Record<string, string> = {},
): Promise<Answer> {
  const sent = type === undefined ? headers : { ...headers, 'content-type': type };
  const response = await fetch(url, { method: 'POST', body, headers: sent });
  return { status: response.status, headers: response.headers, body: await response.json() };
}
const json = (url: string, body: unknown): Promise<Answer> =>
  post(url, JSON.stringify(body), 'application/json');
const some = (count: number): string[] =>
  Array.from({ length: count }, (_, index) => `https://example.com/${index}`);

describe.each(expressVersions)('%s: URLs are found', (_name, express) => {
  const urls = some(2);
  const bodies: [string, Body, string | undefined][] = [
    ['in JSON', JSON.stringify({ urls }), 'application/json'],
    ['in a plain form', urls.map((url) => `urls=${encodeURIComponent(url)}`).join('&'), undefined],
    [
      'in the fields of a multipart form',
      form({ name: 'urls', value: urls[0]! }, { name: 'urls', value: urls[1]! }),
      multipart(),
    ],
    ['in a field that holds JSON', form({ name: 'urls', value: JSON.stringify(urls) }), multipart()],
  ];
  test.each(bodies)('%s, parsed by urlCount itself or before', async (name, body, type) => {
    const contentType = type ?? 'application/x-www-form-urlencoded';
    const parser =
      name.includes('multipart') || name.includes('field') ? fileSize({ maxFile: 1000 }) : undefined;
    const parsers = [parser ?? express.json(), express.urlencoded({ extended: true })];
    for (const before of [[], parsers]) {
      const url = await serve({ limit: 2 }, { express, before });
      expect(await post(url, body, contentType)).toMatchObject({ status: 200, body: urls });
      const tight = await serve({ limit: 1 }, { express, before });
      expect(await post(tight, body, contentType)).toMatchObject({
        status: 413,
        body: { error: 'TOO_MANY_URLS' },
      });
    }
  });
});

function multipart(): string {
  return 'multipart/form-data; boundary=b';
}
function form(...parts: { name: string; value: string }[]): Body {
  return new Uint8Array(formBody('b', parts));
}

test.each([
  ['input.urls', { input: { urls: some(2) } }],
  ['files.*.url', { files: some(2).map((url) => ({ url })) }],
  [
    'params.steps.*.url',
    { params: JSON.stringify({ steps: { a: { url: some(2)[0] }, b: { url: some(2)[1] }, c: {} } }) },
  ],
  ['*', some(2)],
])('by the path %s', async (from, body) => {
  const url = await serve({ from });
  expect((await json(url, body)).body).toEqual(some(2));
});

test('by a function, of one or several', async () => {
  const url = await serve({ from: (req) => (req.body as { source: unknown }).source });
  expect((await json(url, { source: some(1)[0] })).body).toEqual(some(1));
  expect((await json(url, { source: some(3) })).body).toEqual(some(3));
});

test('a path that leads nowhere, a body of another type and no body have no URLs', async () => {
  const url = await serve({ limit: 0 });
  expect((await json(url, { other: some(1), urls: null })).body).toEqual([]);
  expect((await json(url, { urls: '' })).body).toEqual([]);
  expect((await post(url, 'text', 'text/plain')).body).toEqual([]);
  expect((await fetch(url)).status).toBe(200);
});

test('over the limit the answer names limit and count and says what to do', async () => {
  const url = await serve({ limit: 100 });
  expect((await json(url, { urls: some(100) })).status).toBe(200);
  const answer = await json(url, { urls: some(250) });
  expect(answer.body).toEqual({
    error: 'TOO_MANY_URLS',
    message:
      '250 URLs were given and 100 are allowed: put the files into an archive, or send them in batches of at most 100.',
    info: { limit: 'url-count', allowed: 100, received: 250 },
  });
  expect(answer.status).toBe(413);
  expect(answer.headers.get('retry-after')).toBeNull();
});

test('recommended warns and tells, and refuses nothing', async () => {
  const events: unknown[] = [];
  const url = await serve({ recommended: 2, onRecommended: (event) => events.push(event) });
  expect((await json(url, { urls: some(2) })).headers.get('warning')).toBeNull();
  const { status, headers } = await json(url, { urls: some(3) });
  expect(status).toBe(200);
  expect(headers.get('warning')).toBe(
    '299 - "3 URLs were given, at most 2 are recommended: send an archive, or batches"',
  );
  expect(events).toEqual([{ received: 3, recommended: 2 }]);
  const byDefault = await serve({});
  expect((await json(byDefault, { urls: some(100) })).headers.get('warning')).toBeNull();
  expect((await json(byDefault, { urls: some(101) })).headers.get('warning')).not.toBeNull();
});

describe('a URL is refused', () => {
  const cases: [string, unknown, string][] = [
    ['not absolute', '/a/b', 'URL_INVALID'],
    ['no string', 7, 'URL_INVALID'],
    ['an object', { href: 'https://example.com/' }, 'URL_INVALID'],
    ['two on two lines', 'https://example.com/1\nhttps://example.com/2', 'URL_INVALID'],
    ['white space around it', ' https://example.com/', 'URL_INVALID'],
    ['a backslash', 'https://example.com\\@10.0.0.1/', 'URL_INVALID'],
    ['nested lists', [['https://example.com/']], 'URL_INVALID'],
    ['another scheme', 'file:///etc/passwd', 'URL_SCHEME'],
    ['a scheme of data', 'data:text/plain,x', 'URL_SCHEME'],
    ['a user', 'https://user@example.com/', 'URL_CREDENTIALS'],
    ['a password', 'https://:secret@example.com/', 'URL_CREDENTIALS'],
    ...[
      '127.0.0.1',
      '127.1',
      '0x7f.1',
      '0177.0.0.1',
      '2130706433',
      '１２７.０.０.１',
      '127.0.0.1.',
      '0.0.0.0',
      '10.1.2.3',
      '172.16.0.1',
      '192.168.0.1',
      '169.254.169.254',
      '100.64.0.1',
      '192.0.2.1',
      '224.0.0.1',
      '255.255.255.255',
      '[::1]',
      '[::]',
      '[::7f00:1]',
      '[::ffff:127.0.0.1]',
      '[::ffff:a00:1]',
      '[64:ff9b::7f00:1]',
      '[2002:7f00:1::]',
      '[fe80::1]',
      '[fc00::1]',
      '[ff02::1]',
      '[2001:db8::1]',
      '[4000::1]',
      '[1::1]',
      'localhost',
      'localhost.',
      'LOCALHOST',
      'a.localhost',
      'db',
      'printer.local',
      'metadata.google.internal',
      'router.home.arpa',
    ].map((host): [string, unknown, string] => [host, `http://${host}/latest`, 'PRIVATE_ADDRESS']),
  ];
  test.each(cases)('%s', async (_name, entry, error) => {
    const url = await serve({});
    const answer = await json(url, { urls: [some(1)[0], entry] });
    expect(answer).toMatchObject({ status: 422, body: { error, info: { index: 1 } } });
    const options: Record<string, string> = { URL_SCHEME: 'schemes', PRIVATE_ADDRESS: 'private-addresses' };
    expect((answer.body as { info: { limit?: string } }).info.limit).toBe(options[error]);
  });

  test('the answer repeats no password', async () => {
    const url = await serve({});
    const { body } = await json(url, { urls: ['https://user:hunter2@example.com/a'] });
    expect(body).toMatchObject({ info: { index: 0, url: 'https://example.com/a' } });
    expect(JSON.stringify(body)).not.toMatch(/user:|hunter2/);
  });

  test('twice, where duplicates are not allowed, whatever the fragment', async () => {
    const twice = { urls: ['https://example.com/a#1', 'https://EXAMPLE.com:443/b/../a#2'] };
    expect((await json(await serve({}), twice)).body).toEqual([
      'https://example.com/a',
      'https://example.com/a',
    ]);
    expect((await json(await serve({ duplicates: false }), twice)).body).toMatchObject({
      error: 'DUPLICATE_URL',
      message: 'URL 2 is the same as URL 1.',
      info: { limit: 'duplicates', index: 1 },
    });
  });
});

test('public addresses, other schemes and private addresses where they are wanted pass', async () => {
  const urls = [
    'http://8.8.8.8/',
    'https://[2606:4700::1111]/',
    'https://a.example/',
    'https://localhost.example/',
  ];
  expect((await json(await serve({}), { urls })).body).toEqual(urls);
  const own = ['s3://bucket/key', 'http://127.0.0.1/'];
  expect(
    (await json(await serve({ schemes: ['s3', 'http'], privateAddresses: true }), { urls: own })).body,
  ).toEqual(own);
});

test('no IPv4 address inside a private range is ever public, in whatever form it is written', () => {
  const ranges: [number, number][] = [
    [0x0a000000, 8],
    [0x7f000000, 8],
    [0xac100000, 12],
    [0xc0a80000, 16],
    [0xa9fe0000, 16],
    [0, 8],
  ];
  fc.assert(
    fc.property(fc.constantFrom(...ranges), fc.nat(0xffffff), ([base, bits], offset) => {
      const value = base + (offset & (2 ** (32 - bits) - 1));
      const dotted = [24, 16, 8, 0].map((shift) => (value >>> shift) & 255).join('.');
      const hex = value.toString(16).padStart(8, '0');
      const mapped = `${hex.slice(0, 4)}:${hex.slice(4)}`;
      for (const address of [
        dotted,
        `::ffff:${mapped}`,
        `::${mapped}`,
        `64:ff9b::${mapped}`,
        `2002:${mapped}::`,
      ]) {
        expect([address, isPublicAddress(address)]).toEqual([address, false]);
      }
      for (const host of [String(value), `0x${hex}`])
        expect(new URL(`http://${host}/`).hostname).toBe(dotted);
    }),
  );
  expect(isPublicAddress('1.1.1.1')).toBe(true);
  expect(isPublicAddress('not an address')).toBe(false);
});

describe('a body that urlCount parses itself', () => {
  test('may have maxRequest, as it comes and as it is decoded', async () => {
    const url = await serve({ maxRequest: 1000 });
    const large = JSON.stringify({ urls: ['https://example.com/'], pad: 'x'.repeat(1000) });
    for (const body of [large, gzipSync(large)]) {
      const encoding = typeof body === 'string' ? {} : { 'content-encoding': 'gzip' };
      const bytes = typeof body === 'string' ? body : new Uint8Array(body);
      expect(await post(url, bytes, 'application/json', encoding as Record<string, string>)).toMatchObject({
        status: 413,
        body: { error: 'REQUEST_TOO_LARGE', info: { limit: 'max-request', allowed: 1000 } },
      });
    }
  });

  test('must be well-formed, in a known coding, and a form of fields', async () => {
    const url = await serve({});
    expect(await post(url, '{"urls":', 'application/json')).toMatchObject({
      status: 400,
      body: { error: 'MALFORMED_BODY' },
    });
    expect(await post(url, 'x', 'application/json', { 'content-encoding': 'zstd' })).toMatchObject({
      status: 415,
    });
    const file = formBody('b', [{ name: 'f', value: 'x', filename: 'f' }]);
    expect(await post(url, new Uint8Array(file), multipart())).toMatchObject({
      body: { error: 'TOO_MANY_FILES' },
    });
  });
});

describe('a client that goes away', () => {
  /** What a middleware made of a request that had sent this much when it went away. */
  async function outcomeOf(body: Buffer, encoding: string, before: express5.RequestHandler): Promise<number> {
    const ended: number[] = [];
    const app = express5();
    app.use(
      (_req, res, next) => {
        const end = res.end.bind(res) as (...args: unknown[]) => typeof res;
        res.end = (...args: unknown[]) => {
          ended.push(res.statusCode);
          return end(...args);
        };
        next();
      },
      before,
      urlCount(),
      (_req, res) => void res.end(),
    );
    const listening = await listen(app);
    servers.push(listening);
    const socket = await rawSocket(listening.port);
    const head = `Host: x\r\nContent-Type: application/json\r\nContent-Encoding: ${encoding}\r\nContent-Length: 1000`;
    socket.write(`POST / HTTP/1.1\r\n${head}\r\n\r\n`);
    socket.write(body);
    await until(() => ended.length > 0, 'an answer');
    socket.destroy();
    return ended[0]!;
  }
  const json = Buffer.from('{"urls":["https://example.com/"');
  const goes: express5.RequestHandler = (req, _res, next) => {
    void until(() => req.readableDidRead).then(() => req.destroy());
    next();
  };
  const isGone: express5.RequestHandler = (req, _res, next) => {
    req.destroy();
    req.once('close', () => next());
  };

  test.each([
    ['in the middle of a compressed body', gzipSync(json).subarray(0, 20), 'gzip', goes],
    ['in the middle of a body', json, 'identity', goes],
    ['before', json, 'identity', isGone],
  ])('%s is no longer waited for', async (_when, body, encoding, before) => {
    expect(await outcomeOf(body, encoding, before)).toBe(400);
  });
});

test('limits by request, shared answers, skip, wrong options', async () => {
  const handling = checkOptions('urlCount', {}, urlCountHandlingChecks);
  const app = express5();
  app.use(
    urlCountOf(async (req) => (req.query['plan'] === 'free' ? { limit: 1 } : undefined), handling, {
      help: 'x',
    }),
  );
  app.use((req, res) => void res.json(urlsOf(req)));
  const listening = await listen(app);
  servers.push(listening);
  expect((await json(`${listening.url}?plan=free`, { urls: some(2) })).body).toMatchObject({
    info: { help: 'x' },
  });
  expect((await json(listening.url, { urls: some(2) })).status).toBe(200);
  expect((await json(await serve({ limit: 0, skip: () => true }), { urls: some(2) })).status).toBe(200);
  const throwing = await serve({
    from: () => {
      throw new Error('oops');
    },
  });
  expect(await json(throwing, {})).toMatchObject({ status: 500, body: { message: 'oops' } });
  expect(() => urlCount({ limt: 1 } as never)).toThrow(/did you mean 'limit'/);
  expect(() => urlCount({ limit: -1 })).toThrow(/urlCount\.limit: expected a whole number/);
});
