import { once } from 'node:events';
import type { Request, Response } from 'express';
import { lingerBounds, refuse } from '../../lib/http/refuse.js';
import { expressVersions } from '../support/apps.js';
import { listen, rawSocket, until, type Listening } from '../support/http.js';

// A slow machine is no failure.
jest.setTimeout(30_000);

const answer = { status: 413, headers: { 'X-Limit': 'a' }, body: { error: 'X' } };
const usual = { ...lingerBounds };
afterEach(() => Object.assign(lingerBounds, usual));

describe.each(expressVersions)('%s: a refusal', (_name, express) => {
  let listening: Listening;
  let requests: [Request, Response][];
  beforeEach(async () => {
    requests = [];
    const app = express();
    app.use('/status/:code', (req, res) => {
      requests.push([req, res]);
      refuse(req, res, { ...answer, status: Number(req.params['code']) });
    });
    app.use((req, res) => {
      requests.push([req, res]);
      refuse(req, res, answer);
    });
    listening = await listen(app);
  });
  afterEach(() => listening.close());

  const head = (length: number, path = '/'): string =>
    `POST ${path} HTTP/1.1\r\nHost: x\r\nContent-Length: ${length}\r\n\r\n`;

  /** Starts an upload of 10 MB and sends 64 kB of it. */
  async function start(path = '/') {
    const socket = await rawSocket(listening.port);
    let closed = false;
    socket.on('close', () => (closed = true));
    socket.write(head(10_000_000, path));
    socket.write(Buffer.alloc(65_536));
    await until(() => socket.received().endsWith('{"error":"X"}'), 'the answer');
    return { socket, isClosed: () => closed };
  }

  it('without a body keeps the connection, and has its headers', async () => {
    const response = await fetch(listening.url);
    expect(response.status).toBe(413);
    expect(await response.json()).toEqual({ error: 'X' });
    expect(Object.fromEntries(response.headers)).toMatchObject({
      'x-limit': 'a',
      'cache-control': 'no-store',
      'content-type': 'application/json; charset=utf-8',
      'content-length': '13',
      connection: 'keep-alive',
    });
  });

  it('answers HEAD without a body', async () => {
    const response = await fetch(listening.url, { method: 'HEAD' });
    expect([response.status, response.headers.get('content-length')]).toEqual([413, '13']);
  });

  it('of a small body reads it and keeps the connection', async () => {
    const socket = await rawSocket(listening.port);
    socket.write(`${head(5)}hello${head(5)}hello`);
    await until(() => socket.received().split('{"error":"X"}').length === 3, 'both answers');
    expect(socket.received()).not.toContain('Connection: close');
    socket.destroy();
  });

  it('of a stalled request closes the connection', async () => {
    const socket = await rawSocket(listening.port);
    socket.write(`${head(5, '/status/408')}hel`);
    await until(() => socket.received().endsWith('{"error":"X"}'));
    expect(socket.received()).toMatch(/^HTTP\/1\.1 408 [^]*\r\nConnection: close\r\n/);
    socket.destroy();
  });

  it('of a large body is readable at once, and closes when the client has sent it all', async () => {
    const { socket, isClosed } = await start();
    expect(requests[0]![1].writableEnded).toBe(false);
    socket.write(Buffer.alloc(10_000_000 - 65_536));
    await until(isClosed, 'the end');
    expect(requests[0]![0].complete).toBe(true);
  });

  it('waits no longer than idleMs for a client that has stopped', async () => {
    lingerBounds.idleMs = 30;
    const { isClosed } = await start();
    await until(isClosed, 'the end');
  });

  it('waits no longer than totalMs for a client that goes on', async () => {
    lingerBounds.totalMs = 60;
    const { socket, isClosed } = await start();
    const drip = setInterval(() => socket.write('x'), 5);
    await until(isClosed, 'the end');
    clearInterval(drip);
  });

  it('reads no more than `bytes`', async () => {
    lingerBounds.bytes = 200_000;
    const { socket, isClosed } = await start();
    const feed = setInterval(() => socket.write(Buffer.alloc(65_536)), 1);
    await until(isClosed, 'the end');
    clearInterval(feed);
    expect(requests[0]![0].complete).toBe(false);
  });

  it('lingers for no more than `atOnce`; others are answered and closed', async () => {
    lingerBounds.atOnce = 1;
    const first = await start();
    const second = await start();
    await until(second.isClosed, 'the end of the second');
    expect(requests[0]![1].writableEnded).toBe(false);
    // The place is free again when the first has gone.
    first.socket.destroy();
    await until(() => requests[0]![1].writableEnded, 'the end of the first');
    const third = await start();
    expect(requests[2]![1].writableEnded).toBe(false);
    third.socket.destroy();
  });

  it('of a client that has gone gives the response its status and ends it', async () => {
    const app = express();
    let status: number | undefined;
    app.use(async (req, res) => {
      await once(res, 'close');
      const end = res.end.bind(res) as () => typeof res;
      res.end = () => {
        status = res.statusCode;
        return end();
      };
      refuse(req, res, answer);
    });
    const other = await listen(app);
    const socket = await rawSocket(other.port);
    socket.write(head(0));
    await new Promise((resolve) => other.server.once('request', resolve));
    socket.destroy();
    await until(() => status !== undefined, 'the end');
    expect(status).toBe(413);
    await other.close();
  });

  it('after the response has begun does nothing', async () => {
    const app = express();
    app.use((req, res) => {
      res.write('begun');
      refuse(req, res, answer);
      res.end();
    });
    const other = await listen(app);
    const response = await fetch(other.url);
    expect([response.status, await response.text()]).toEqual([200, 'begun']);
    await other.close();
  });
});
