import type { Request, Response } from 'express';
import type { Answer } from './answers.js';

/**
 * How long, how much and for how many a refused request's body is still read. A client that is sending reads our answer
 * only when its sending ends or it happens to look; closing earlier resets the connection and loses the answer.
 */
export const lingerBounds = {
  totalMs: 5_000,
  idleMs: 2_000,
  bytes: 64 * 1024 * 1024,
  atOnce: 1_000,
};

/** A declared body up to this size is simply read to its end, which keeps the connection for the next request. */
const SMALL_BODY = 64 * 1024;

/**
 * Reads the rest of a body and throws it away, telling how much came and that it ended. Returns what stops the telling.
 */
export type Drain = (watcher: { bytes(count: number): void; end(): void }) => () => void;

let lingering = 0;

/**
 * Sends a refusal so that the client gets to read it, whatever it is still sending. Every refusal of this package goes
 * through here; `next` is not called after it.
 *
 * @param drain Given when someone is reading the body already and must not get the rest of it.
 */
export function refuse(req: Request, res: Response, answer: Answer, drain?: Drain): void {
  if (res.headersSent) return;
  res.statusCode = answer.status;
  if (res.destroyed) {
    // Nobody is left to read it; whoever waits for this response to end learns its status.
    res.end();
    return;
  }
  const body = encode(answer.body);
  res.setHeader('Cache-Control', 'no-store');
  if (typeof answer.body !== 'string') res.setHeader('Content-Type', 'application/json; charset=utf-8');
  for (const [name, value] of Object.entries(answer.headers)) res.setHeader(name, value);
  res.setHeader('Content-Length', body.length);
  const unread = unreadBytes(req);
  const keeps = unread <= SMALL_BODY && drain === undefined && answer.status !== 408;
  if (!keeps) res.setHeader('Connection', 'close');
  if (keeps || unread === 0 || lingering >= lingerBounds.atOnce) {
    if (drain === undefined) req.resume();
    res.end(body);
    return;
  }
  linger(req, res, body, drain ?? drainUnread(req));
}

function encode(body: unknown): Buffer {
  if (Buffer.isBuffer(body)) return body;
  return Buffer.from(typeof body === 'string' ? body : JSON.stringify(body));
}

/** How much of the body may still come, by what the client declared: 0 when it has all arrived or there is none. */
function unreadBytes(req: Request): number {
  if (req.complete) return 0;
  if (req.headers['transfer-encoding'] !== undefined) return Infinity;
  return Number(req.headers['content-length'] ?? 0);
}

function linger(req: Request, res: Response, body: Buffer, drain: Drain): void {
  lingering += 1;
  let bytes = 0;
  let over = false;
  const end = (): void => {
    if (over) return;
    over = true;
    clearTimeout(total);
    clearTimeout(idle);
    req.off('close', end);
    res.off('close', end);
    stop();
    lingering -= 1;
    // `Connection: close` ends the connection after the answer.
    res.end();
  };
  const total = setTimeout(end, lingerBounds.totalMs).unref();
  const idle = setTimeout(end, lingerBounds.idleMs).unref();
  res.flushHeaders();
  if (req.method !== 'HEAD') res.write(body);
  req.once('close', end);
  res.once('close', end);
  const stop = drain({
    bytes(count) {
      bytes += count;
      if (bytes > lingerBounds.bytes) end();
      else idle.refresh();
    },
    end,
  });
}

/** The drain of a body that nobody reads. */
const drainUnread =
  (req: Request): Drain =>
  (watcher) => {
    const count = (chunk: Buffer): void => watcher.bytes(chunk.length);
    const end = (): void => watcher.end();
    req.on('data', count).once('end', end).once('error', end).resume();
    // Without a listener it goes on flowing, into nothing.
    return () => req.off('data', count).off('end', end).off('error', end);
  };
