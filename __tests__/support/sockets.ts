import { once } from 'node:events';
import {
  createServer as createHttpServer,
  type RequestListener,
  type Server,
  type ServerOptions,
} from 'node:http';
import { createServer as createHttpsServer } from 'node:https';
import { readFileSync } from 'node:fs';
import { connect, type AddressInfo, type Socket } from 'node:net';
import { join } from 'node:path';
import { connect as connectTls } from 'node:tls';

const tls = (name: string): Buffer => readFileSync(join(__dirname, 'tls', name));

type ServerSettings = ServerOptions & { secure?: boolean };

/** A server on a free port of 127.0.0.1, not yet listening, so that it can be attached first. */
export function serverOf(
  listener: RequestListener,
  { secure = false, ...options }: ServerSettings = {},
): Server {
  return secure
    ? createHttpsServer({ key: tls('key.pem'), cert: tls('cert.pem'), ...options }, listener)
    : createHttpServer(options, listener);
}

export async function listening(server: Server): Promise<number> {
  server.listen(0, '127.0.0.1');
  await once(server, 'listening');
  return (server.address() as AddressInfo).port;
}

export async function closed(server: Server): Promise<void> {
  if (!server.listening) return;
  const over = once(server, 'close');
  server.close();
  server.closeAllConnections();
  await over;
}

/** A connection that bytes are written to by hand. */
export class RawClient {
  received = '';
  readonly closed: Promise<unknown>;

  constructor(readonly socket: Socket) {
    socket.setEncoding('latin1').on('data', (text: string) => (this.received += text));
    // A reset is one of the ways to end that are tried.
    socket.on('error', () => {});
    this.closed = new Promise((resolve) => socket.once('close', resolve));
  }

  /** The statuses of all answers so far. */
  get statuses(): number[] {
    return [...this.received.matchAll(/HTTP\/1\.1 (\d{3}) /g)].map((match) => Number(match[1]));
  }

  async answers(count: number): Promise<number[]> {
    await until(() => this.statuses.length >= count || this.socket.closed);
    return this.statuses;
  }
}

export async function rawClient(port: number, { secure = false } = {}): Promise<RawClient> {
  const socket = secure
    ? connectTls({ port, host: '127.0.0.1', rejectUnauthorized: false })
    : connect({ port, host: '127.0.0.1', allowHalfOpen: true });
  const client = new RawClient(socket);
  await once(socket, secure ? 'secureConnect' : 'connect');
  return client;
}

/** Waits until it is so, and fails after ten seconds: what sockets do has no clock that can be moved. */
export async function until(isSo: () => boolean): Promise<void> {
  const deadline = performance.now() + 10_000;
  while (!isSo()) {
    if (performance.now() > deadline) throw new Error(`not so after 10 s: ${isSo.toString()}`);
    await new Promise((resolve) => setTimeout(resolve, 2));
  }
}
