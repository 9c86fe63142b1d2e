import type { Express } from 'express';
import { IncomingMessage, ServerResponse } from 'node:http';
import { Duplex } from 'node:stream';
import type { Socket } from 'node:net';

/** A connection that takes everything and says nothing: what is measured is the app, not the kernel. */
class NowhereSocket extends Duplex {
  readonly remoteAddress = '127.0.0.1';
  readonly encrypted = false;
  override _read(): void {}
  override _write(_chunk: unknown, _encoding: unknown, done: () => void): void {
    done();
  }
  override _writev(_chunks: unknown, done: () => void): void {
    done();
  }
}

/** Sends one request through the app without sockets, as Node's server would, and resolves with the status. */
export function send(
  app: Express,
  socket: Duplex,
  method: string,
  url: string,
  headers: Record<string, string>,
): Promise<number> {
  return new Promise((resolve) => {
    const req = new IncomingMessage(socket as Socket);
    req.method = method;
    req.url = url;
    req.headers = headers;
    req.complete = true;
    req.push(null);
    const res = new ServerResponse(req);
    res.assignSocket(socket as Socket);
    res.on('finish', () => {
      res.detachSocket(socket as Socket);
      process.nextTick(() => {
        res.emit('close');
        resolve(res.statusCode);
      });
    });
    app(req as never, res as never);
  });
}

export const nowhere = (): Duplex => new NowhereSocket();
