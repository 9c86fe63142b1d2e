import type { IncomingMessage } from 'node:http';

const putBack = new WeakSet<IncomingMessage>();

/** Gives back all that was read of a body so far; to the rest of the app nobody has read of it then. */
export function putBodyBack(req: IncomingMessage, chunks: Buffer[]): void {
  putBack.add(req);
  // After an abort the stream is destroyed and takes nothing back.
  if (!req.destroyed && chunks.length > 0) req.unshift(Buffer.concat(chunks));
}

/**
 * Where a request's body is: there is `none`, it is `unread`, a parser has `read` it or is about to, or its client
 * went away (`aborted`).
 */
export function bodyOf(req: IncomingMessage): 'none' | 'unread' | 'read' | 'aborted' {
  if (req.headers['transfer-encoding'] === undefined && Number(req.headers['content-length'] ?? 0) === 0) {
    return 'none';
  }
  if (req.readableEnded) return 'read';
  // Also where all of it had come: what nobody has read by then is lost.
  if (req.destroyed) return 'aborted';
  if (req.readableFlowing === true) return 'read';
  return req.readableDidRead && !putBack.has(req) ? 'read' : 'unread';
}

/** Whether the body says that it is a form with files. */
export function isMultipart(req: IncomingMessage): boolean {
  return /^\s*multipart\/form-data\s*(;|$)/i.test(req.headers['content-type'] ?? '');
}
