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

let lingering = 0;

/**
 * Sends a refusal so that the client gets to read it, whatever it is still sending. Every refusal of this package goes
 * through here; `next` is not called after it.
 */
export function refuse(req: Request, res: Response, answer: Answer): void {
  if (res.headersSent || res.destroyed) return;
  const body = encode(answer.body);
  res.statusCode = answer.status;
  res.setHeader('Cache-Control', 'no-store');
  if (typeof answer.body !== 'string') res.setHeader('Content-Type', 'application/json; charset=utf-8');
  for (const [name, value] of Object.entries(answer.headers)) res.setHeader(name, value);
  res.setHeader('Content-Length', body.length);
  const unread = unreadBytes(req);
  if (unread <= SMALL_BODY || lingering >= lingerBounds.atOnce) {
    if (unread > SMALL_BODY) res.setHeader('Connection', 'close');
    req.resume();
    res.end(body);
    return;
  }
  linger(req, res, body);
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

function linger(req: Request, res: Response, body: Buffer): void {
  lingering += 1;
  let bytes = 0;
  const end = (): void => {
    clearTimeout(total);
    clearTimeout(idle);
    req.off('data', count).off('end', end).off('close', end).off('error', end);
    lingering -= 1;
    // Reads what is buffered without keeping it; `Connection: close` ends the connection after the answer.
    req.resume();
    res.end();
  };
  const count = (chunk: Buffer): void => {
    bytes += chunk.length;
    if (bytes > lingerBounds.bytes) end();
    else idle.refresh();
  };
  const total = setTimeout(end, lingerBounds.totalMs).unref();
  const idle = setTimeout(end, lingerBounds.idleMs).unref();
  res.setHeader('Connection', 'close');
  res.flushHeaders();
  if (req.method !== 'HEAD') res.write(body);
  req.on('data', count).once('end', end).once('close', end).once('error', end);
  req.resume();
}
