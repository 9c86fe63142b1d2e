import { createServer, get, type Server } from 'node:http';
import express, { type Express } from 'express';
import fc from 'fast-check';
import type { Client } from '../../lib/guard/client-key.js';
import { clientResolver, type ClientSettings } from '../../lib/http/client-address.js';
import { closed, listening } from '../support/sockets.js';

let server: Server;
afterEach(() => closed(server));

interface Seen {
  clients: Client[];
  ips: (string | undefined)[];
  warnings: string[];
  failures: unknown[];
  send(headers?: Record<string, string>): Promise<Client>;
}

async function seenBy(
  settings: Partial<ClientSettings>,
  configure: (app: Express) => void = () => {},
): Promise<Seen> {
  const clients: Client[] = [];
  const ips: (string | undefined)[] = [];
  const warnings: string[] = [];
  const failures: unknown[] = [];
  const resolver = clientResolver({
    ipv6Subnet: 64,
    allow: [],
    warn: (code) => warnings.push(code),
    ...settings,
  });
  const app = express();
  configure(app);
  app.use((req, res) => {
    ips.push(req.ip);
    try {
      clients.push(resolver.of(req));
    } catch (error) {
      failures.push(error);
    }
    res.end();
  });
  server = createServer(app);
  const port = await listening(server);
  const send = (headers: Record<string, string> = {}): Promise<Client> =>
    new Promise((resolve, reject) => {
      get({ port, host: '127.0.0.1', headers }, (res) => {
        res.resume().once('end', () => resolve(clients.at(-1)!));
      }).once('error', reject);
    });
  return { clients, ips, warnings, failures, send };
}

const FORWARDED = { 'X-Forwarded-For': '192.0.2.66, 198.51.100.7, 203.0.113.9' };

describe('the client of a request', () => {
  test.each([
    ['trust proxy off', false, '127.0.0.1', false],
    ['one hop', 1, '203.0.113.9', true],
    ['two hops', 2, '198.51.100.7', true],
    ['three hops', 3, '192.0.2.66', true],
    ['more hops than there are', 9, '192.0.2.66', true],
    ['the loopback', 'loopback', '203.0.113.9', true],
    ['loopback and one proxy', 'loopback, 203.0.113.9', '198.51.100.7', true],
    ['another proxy', '10.0.0.0/8', '127.0.0.1', false],
  ])('with %s is %s', async (_name, trust, name, proxied) => {
    const seen = await seenBy({}, (app) => app.set('trust proxy', trust));
    expect(await seen.send(FORWARDED)).toMatchObject({ name, proxied });
    expect(seen.ips).toEqual([name]);
  });

  test('with trust proxy off is the same whatever any header says', async () => {
    const seen = await seenBy({});
    const plain = await seen.send();
    const name = fc.constantFrom(
      'X-Forwarded-For',
      'Forwarded',
      'X-Real-IP',
      'X-Client-IP',
      'True-Client-IP',
      'CF-Connecting-IP',
      'Via',
      'X-Forwarded-Host',
      'X-Cluster-Client-IP',
      'Client-IP',
      'X-Original-Forwarded-For',
      'Remote-Addr',
    );
    const address = fc.oneof(
      fc.ipV4(),
      fc.ipV6(),
      fc.constantFrom('for=192.0.2.1', 'unknown', '127.0.0.2, ::1'),
    );
    await fc.assert(
      fc.asyncProperty(fc.dictionary(name, address), async (headers) => {
        expect(await seen.send(headers)).toBe(plain);
      }),
      { numRuns: 60 },
    );
  });

  test('with a hop count is what the last trusted hop saw, whatever stands before it', async () => {
    const seen = await seenBy({}, (app) => app.set('trust proxy', 2));
    await fc.assert(
      fc.asyncProperty(fc.array(fc.oneof(fc.ipV4(), fc.constant('x')), { maxLength: 8 }), async (before) => {
        const header = [...before, '198.51.100.7', '10.0.0.1'].join(', ');
        expect((await seen.send({ 'X-Forwarded-For': header })).name).toBe('198.51.100.7');
      }),
      { numRuns: 60 },
    );
  });

  test('is folded and grouped as an address of a socket is', async () => {
    const seen = await seenBy({}, (app) => app.set('trust proxy', 1));
    expect(await seen.send({ 'X-Forwarded-For': '::ffff:203.0.113.9' })).toMatchObject({
      name: '203.0.113.9',
    });
    expect(await seen.send({ 'X-Forwarded-For': '2001:db8::7' })).toMatchObject({ name: '2001:db8::/64' });
  });

  test('is the same in a sub-app, which has no setting of its own', async () => {
    const sub = express();
    const names: string[] = [];
    const resolver = clientResolver({ ipv6Subnet: 64, allow: [], warn: () => {} });
    sub.use((req, _res, next) => {
      names.push(resolver.of(req).name);
      next();
    });
    const seen = await seenBy({}, (app) => app.set('trust proxy', 1).use('/', sub));
    await seen.send(FORWARDED);
    expect(names).toEqual(['203.0.113.9']);
  });

  test('is remembered, so that the same address is the same object', async () => {
    const seen = await seenBy({});
    expect(await seen.send()).toBe(await seen.send());
  });
});

describe('a client that the application names', () => {
  test('is that name, and the address where there is none', async () => {
    const seen = await seenBy({ client: (req) => req.get('x-key') });
    expect(await seen.send({ 'X-Key': 'acme' })).toMatchObject({ name: 'acme', proxied: true });
    expect(await seen.send()).toMatchObject({ name: '127.0.0.1', proxied: true });
    expect(seen.warnings).toEqual([]);
  });

  test.each([
    [
      'throws',
      () => {
        throw new Error('no');
      },
      'CLIENT_FAILED',
    ],
    ['is no string', () => 7 as unknown as string, 'CLIENT_INVALID'],
    ['is empty', () => '', 'CLIENT_INVALID'],
    ['is a promise', () => Promise.resolve('a') as unknown as string, 'CLIENT_INVALID'],
  ])('that %s is an error with a code', async (_name, client, code) => {
    const seen = await seenBy({ client });
    await seen.send();
    expect(seen.failures).toMatchObject([{ code, status: 500 }]);
  });
});

describe('a wrong setting is told', () => {
  test.each<[string, (app: Express) => void, Record<string, string>, string[]]>([
    ['a forwarded header from a sender that is not trusted', () => {}, FORWARDED, ['FORWARDED_NOT_TRUSTED']],
    [
      'Forwarded from a sender that is not trusted',
      () => {},
      { Forwarded: 'for=192.0.2.1' },
      ['FORWARDED_NOT_TRUSTED'],
    ],
    ['trust in everybody', (app) => app.set('trust proxy', true), FORWARDED, ['FORWARDED_FROM_ANYONE']],
    [
      'a function that trusts everybody',
      (app) => app.set('trust proxy', () => true),
      FORWARDED,
      ['FORWARDED_FROM_ANYONE'],
    ],
    [
      'Forwarded from a proxy',
      (app) => app.set('trust proxy', 1),
      { Forwarded: 'for=192.0.2.1' },
      ['FORWARDED_NOT_READ'],
    ],
    [
      'an address that is none',
      (app) => app.set('trust proxy', 1),
      { 'X-Forwarded-For': 'unknown' },
      ['CLIENT_UNKNOWN'],
    ],
    ['nothing where a hop count is right', (app) => app.set('trust proxy', 1), FORWARDED, []],
    ['nothing where a named proxy is right', (app) => app.set('trust proxy', 'loopback'), FORWARDED, []],
    ['nothing without forwarded headers', () => {}, {}, []],
  ])('%s', async (_name, configure, headers, codes) => {
    const seen = await seenBy({}, configure);
    await seen.send(headers);
    expect(seen.warnings).toEqual(codes);
  });
});
