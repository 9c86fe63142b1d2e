import type { IncomingMessage, Server, ServerResponse } from 'node:http';

const waiting = new WeakSet<IncomingMessage>();

/** Whether this request's client waits for our `100 Continue` before it sends its body. */
export function awaitsContinue(req: IncomingMessage): boolean {
  return waiting.has(req);
}

/**
 * Lets the app decide before a client that sent `Expect: 100-continue` uploads anything. Node by itself says
 * `100 Continue` before the app has seen the request; from here on it is said when the body is first read, and never
 * when the app has answered by then. Such an answer closes the connection (Node's own doing), since nobody can tell
 * whether the body still comes.
 *
 * A server that has a `checkContinue` listener of its own is left alone.
 *
 * @returns A function that takes it back.
 */
export function answerExpect(server: Server): () => void {
  if (server.listenerCount('checkContinue') > 0) return () => {};
  const onCheckContinue = (req: IncomingMessage, res: ServerResponse): void => {
    continueWhenRead(req, res);
    server.emit('request', req, res);
  };
  server.on('checkContinue', onCheckContinue);
  return () => server.off('checkContinue', onCheckContinue);
}

function continueWhenRead(req: IncomingMessage, res: ServerResponse): void {
  waiting.add(req);
  // `_read` is what a stream calls when someone first wants its data, however they ask for it.
  const read = req._read.bind(req);
  req._read = (size) => {
    if (waiting.delete(req) && !res.headersSent && !res.destroyed) res.writeContinue();
    read(size);
  };
}
