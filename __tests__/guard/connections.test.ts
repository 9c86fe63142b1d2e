import { once } from 'node:events';
import type { Server, ServerOptions } from 'node:http';
import { connect, type Socket } from 'node:net';
import express from 'express';
import { ManualClock } from '../../lib/clock.js';
import { highFrequency, type HighFrequency } from '../../lib/middleware/high-frequency.js';
import type { Readings } from '../../lib/guard/guard.js';
import { closed, listening, rawClient, serverOf, until, type RawClient } from '../support/sockets.js';

const window = '10s';
const GET = 'GET / HTTP/1.1\r\nHost: a\r\n\r\n';

interface Setup {
  guard: HighFrequency;
  server: Server;
  port: number;
  clock: ManualClock;
  /** The codes of what the guard warned of. */
  warnings: string[];
  /** What is counted of 127.0.0.1 now. */
  counted: () => Readings;
}

const servers: Server[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map(closed));
});

async function setUp({
  secure = false,
  attach = true,
  limit = 1_000,
  ...options
}: ServerOptions & { secure?: boolean; attach?: boolean; limit?: number } = {}): Promise<Setup> {
  const clock = new ManualClock();
  const warnings: string[] = [];
  const guard = highFrequency({
    emit: (event, value) => void (event === 'warning' && warnings.push((value as { code: string }).code)),
    openConnections: { limit },
    newConnections: { limit: 100_000, window },
    errors: { limit: 100_000, window },
    requests: { limit: 100_000, window },
    clock,
  });
  const app = express().disable('x-powered-by').use(guard);
  app.post('/', express.text(), (_req, res) => void res.send('done'));
  app.get('/', (_req, res) => void res.send('ok'));
  const server = serverOf(app, { secure, ...options });
  if (attach) guard.attach(server);
  servers.push(server);
  const port = await listening(server);
  const counted = (): Readings => guard.guard.table()[0]?.readings ?? {};
  return { guard, server, port, clock, warnings, counted };
}

const openOf = ({ counted }: Setup): number => counted()['open-connections'] ?? 0;

/** What a connection leaves in the counters once it is over. */
async function after(
  setup: Setup,
  use: (client: RawClient) => void | Promise<unknown>,
  secure = false,
): Promise<Readings> {
  const greeted = once(setup.server, secure ? 'secureConnection' : 'connection');
  const client = await rawClient(setup.port, { secure });
  await greeted;
  expect(openOf(setup)).toBe(1);
  await use(client);
  client.socket.destroySoon();
  await client.closed;
  await until(() => openOf(setup) === 0);
  return setup.counted();
}

const one = { 'open-connections': 0, 'new-connections': 1 };

describe.each([
  ['http', false],
  ['https', true],
])('over %s, what a connection counts', (_name, secure) => {
  test('closed before its first byte: one request and one error', async () => {
    const setup = await setUp({ secure });
    expect(await after(setup, () => {}, secure)).toEqual({ ...one, requests: 1, errors: 1 });
  });

  test('closed after a request: that request', async () => {
    const setup = await setUp({ secure });
    const use = (client: RawClient): Promise<unknown> => {
      client.socket.write(GET);
      return client.answers(1);
    };
    expect(await after(setup, use, secure)).toEqual({ ...one, requests: 1, errors: 0 });
  });

  test('a request that cannot be understood: one request and one error, and Node answers 400 as ever', async () => {
    const setup = await setUp({ secure });
    let answer: number[] = [];
    const use = async (client: RawClient): Promise<void> => {
      client.socket.write('NONSENSE\r\n\r\n');
      answer = await client.answers(1);
    };
    expect(await after(setup, use, secure)).toEqual({ ...one, requests: 1, errors: 1 });
    expect(answer).toEqual([400]);
  });

  test('a head that breaks off: one request and one error', async () => {
    const setup = await setUp({ secure });
    const use = (client: RawClient): void => void client.socket.end('GET / HT');
    expect(await after(setup, use, secure)).toEqual({ ...one, requests: 1, errors: 1 });
  });

  test('a second head that breaks off on a connection kept alive: one request and one error more', async () => {
    const setup = await setUp({ secure });
    const use = async (client: RawClient): Promise<void> => {
      client.socket.write(GET);
      await client.answers(1);
      client.socket.end('GET / HT');
    };
    expect(await after(setup, use, secure)).toEqual({ ...one, requests: 2, errors: 1 });
  });

  test('an answer with 4xx: one error', async () => {
    const setup = await setUp({ secure });
    const use = async (client: RawClient): Promise<void> => {
      client.socket.write('GET /nothing-here HTTP/1.1\r\nHost: a\r\n\r\n');
      expect(await client.answers(1)).toEqual([404]);
    };
    expect(await after(setup, use, secure)).toEqual({ ...one, requests: 1, errors: 1 });
  });

  test('a body that breaks off or is malformed: the request and no error', async () => {
    const setup = await setUp({ secure });
    const head = 'POST / HTTP/1.1\r\nHost: a\r\nContent-Type: text/plain\r\n';
    const cut = (client: RawClient): void => void client.socket.end(`${head}Content-Length: 10\r\n\r\nabc`);
    const bad = (client: RawClient): void =>
      void client.socket.end(`${head}Transfer-Encoding: chunked\r\n\r\nZ\r\n`);
    expect(await after(setup, cut, secure)).toEqual({ ...one, requests: 1, errors: 0 });
    expect(await after(setup, bad, secure)).toEqual({ ...one, 'new-connections': 2, requests: 2, errors: 0 });
  });

  test('a reset before the first byte, and one in the first head: one request and one error each', async () => {
    const setup = await setUp({ secure });
    // The client of TLS cannot reset the connection below it by a public method; its end is then a plain one.
    const reset = ({ socket }: RawClient): void =>
      void (secure ? socket.destroy() : socket.resetAndDestroy());
    expect(await after(setup, reset, secure)).toMatchObject({ requests: 1, errors: 1 });
    const cut = async (client: RawClient): Promise<void> => {
      client.socket.write('GET / HT');
      await until(() => client.socket.bytesWritten > 0 && client.socket.writableLength === 0);
      reset(client);
    };
    expect(await after(setup, cut, secure)).toMatchObject({ requests: 2, errors: 2 });
  });

  test('pipelined requests count each', async () => {
    const setup = await setUp({ secure });
    const use = async (client: RawClient): Promise<void> => {
      client.socket.write(GET.repeat(7));
      expect(await client.answers(7)).toEqual(Array(7).fill(200));
    };
    expect(await after(setup, use, secure)).toEqual({ ...one, requests: 7, errors: 0 });
  });

  test('idle connections are open ones, and refuse requests on all connections while there are too many', async () => {
    const setup = await setUp({ secure, limit: 3 });
    const clients: RawClient[] = [];
    for (let opened = 1; opened <= 3; opened += 1) {
      clients.push(await rawClient(setup.port, { secure }));
    }
    await until(() => openOf(setup) === 3);
    const first = clients[0]!;
    first.socket.write(GET);
    expect(await first.answers(1)).toEqual([200]);
    const fourth = await rawClient(setup.port, { secure });
    await until(() => openOf(setup) === 4);
    first.socket.write(GET);
    expect(await first.answers(2)).toEqual([200, 429]);
    expect(first.received).toMatch(/^Retry-After: 1\r$/m);
    // The refusal kept the connection, so that the client need not open one more.
    fourth.socket.destroy();
    await until(() => openOf(setup) === 3);
    first.socket.write(GET);
    expect(await first.answers(3)).toEqual([200, 429, 200]);
    for (const client of clients) client.socket.destroy();
    await until(() => openOf(setup) === 0);
  });
});

describe('over http', () => {
  test('a request without a Host, which Node answers by itself, is one request and one error', async () => {
    const setup = await setUp();
    const use = async (client: RawClient): Promise<void> => {
      client.socket.write('GET / HTTP/1.1\r\n\r\n');
      expect(await client.answers(1)).toEqual([400]);
    };
    expect(await after(setup, use)).toEqual({ ...one, requests: 1, errors: 1 });
  });

  test('a request that takes too long to arrive is a request and no error', async () => {
    const setup = await setUp({ headersTimeout: 20, requestTimeout: 20, connectionsCheckingInterval: 20 });
    const client = await rawClient(setup.port);
    client.socket.write('GET / HT');
    expect(await client.answers(1)).toEqual([408]);
    client.socket.destroy();
    await until(() => openOf(setup) === 0);
    expect(setup.counted()).toMatchObject({ requests: 1, errors: 0 });
  });

  test('a half-open connection is open until both sides are closed', async () => {
    const setup = await setUp();
    setup.server.on('connection', (socket) => (socket.allowHalfOpen = true));
    const client = await rawClient(setup.port);
    client.socket.write('POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 4\r\n\r\n');
    await until(() => setup.counted().requests === 1);
    expect(openOf(setup)).toBe(1);
    client.socket.end('done');
    await client.closed;
    await until(() => openOf(setup) === 0);
    expect(setup.counted()).toMatchObject({ requests: 1 });
  });

  test('an upgrade is a request, its connection stays open, and a server without upgrades is as before', async () => {
    const setup = await setUp();
    const asking = 'GET / HTTP/1.1\r\nHost: a\r\nConnection: Upgrade\r\nUpgrade: none\r\n\r\n';
    const plain = async (client: RawClient): Promise<void> => {
      client.socket.write(asking);
      expect(await client.answers(1)).toEqual([200]);
    };
    expect(await after(setup, plain)).toEqual({ ...one, requests: 1, errors: 0 });
    const upgrade = (_req: unknown, socket: Socket): void => {
      socket.on('end', () => socket.end()).resume();
      socket.write('HTTP/1.1 101 Switching Protocols\r\nConnection: Upgrade\r\nUpgrade: none\r\n\r\n');
    };
    setup.server.on('upgrade', upgrade);
    const upgraded = async (client: RawClient): Promise<void> => {
      client.socket.write(asking);
      expect(await client.answers(1)).toEqual([101]);
      expect(openOf(setup)).toBe(1);
    };
    expect(await after(setup, upgraded)).toEqual({ ...one, 'new-connections': 2, requests: 2, errors: 0 });
    setup.server.off('upgrade', upgrade);
    expect(await after(setup, plain)).toEqual({ ...one, 'new-connections': 3, requests: 3, errors: 0 });
  });

  test.each(['before', 'after'])(
    "an application's own clientError listener, added %s attach, works and counts",
    async (when) => {
      const setup = await setUp({ attach: false });
      const answer = (_error: Error, socket: NodeJS.WritableStream): void =>
        void socket.end('HTTP/1.1 418 Own Answer\r\nConnection: close\r\n\r\n');
      if (when === 'before') setup.server.on('clientError', answer);
      setup.guard.attach(setup.server);
      if (when === 'after') setup.server.on('clientError', answer);
      const use = async (client: RawClient): Promise<void> => {
        client.socket.write(GET);
        await client.answers(1);
        client.socket.write('NONSENSE\r\n\r\n');
        expect(await client.answers(2)).toEqual([200, 418]);
      };
      expect(await after(setup, use)).toEqual({ ...one, requests: 2, errors: 1 });
    },
  );

  test('2,000 connections opened and dropped at once: all are counted, none is left', async () => {
    const setup = await setUp({ limit: 100_000 });
    const total = 2_000;
    const waves = 4;
    for (let wave = 1; wave <= waves; wave += 1) {
      const sockets = Array.from({ length: total / waves }, () =>
        connect({ port: setup.port, host: '127.0.0.1' }),
      );
      await Promise.all(sockets.map((socket) => once(socket, 'connect')));
      await until(() => openOf(setup) === sockets.length);
      const gone = sockets.map((socket) => once(socket, 'close'));
      for (const [at, socket] of sockets.entries()) {
        if (at % 2 === 0) socket.destroy();
        else socket.resetAndDestroy();
      }
      await Promise.all(gone);
      await until(() => openOf(setup) === 0);
    }
    expect(setup.counted()).toEqual({
      'open-connections': 0,
      'new-connections': total,
      requests: total,
      errors: total,
    });
  });

  test('several servers count together, and attaching twice changes nothing', async () => {
    const setup = await setUp();
    const second = serverOf(express().use(setup.guard));
    servers.push(second);
    setup.guard.attach(second);
    setup.guard.attach(second);
    setup.guard.attach(setup.server);
    const clients = [await rawClient(setup.port), await rawClient(await listening(second))];
    await until(() => openOf(setup) === 2);
    for (const client of clients) client.socket.destroy();
    await until(() => openOf(setup) === 0);
    expect(setup.counted()['new-connections']).toBe(2);
  });
});

describe('without attach', () => {
  test('the first request attaches its server and tells once what was missed', async () => {
    const setup = await setUp({ attach: false });
    const missed = await rawClient(setup.port);
    const first = await rawClient(setup.port);
    first.socket.write(GET);
    await first.answers(1);
    expect(setup.counted()).toMatchObject({ 'open-connections': 1, 'new-connections': 1, requests: 1 });
    const second = await rawClient(setup.port);
    await until(() => openOf(setup) === 2);
    missed.socket.write(GET);
    await missed.answers(1);
    expect(setup.counted()).toMatchObject({ 'open-connections': 3, requests: 2 });
    for (const { socket } of [missed, first, second]) socket.destroy();
    await until(() => openOf(setup) === 0);
    expect(setup.warnings).toEqual(['GUARD_ATTACHED_LATE']);
  });
});
