import type { IncomingMessage, Server, ServerResponse } from 'node:http';
import type { Socket } from 'node:net';

/** What happens on the connections of one peer, an address as the socket gives it; `undefined` if it is gone. */
export interface ConnectionListener {
  /** A TCP connection was accepted. Returns what is to be called when it closes. */
  opened(address: string | undefined): () => void;
  /** A request that can't be understood, broke off in its head, or didn't come before its connection closed. */
  malformed(address: string | undefined): void;
  /** A request that never reaches the application: its head took too long, or it asks for another protocol. */
  undecided(address: string | undefined): void;
}

export interface ConnectionWatch {
  /** Watches a server from now on; a second time it does nothing. The server isn't kept alive by it. */
  attach(server: Server): void;
  /**
   * Takes up the connection of a request, where it was opened before its server was attached, and the server with it.
   *
   * @returns The server, where it wasn't watched before: what happened on it until now was missed.
   */
  adopt(req: IncomingMessage): Server | undefined;
}

/** One connection as HTTP sees it: under TLS that is not the socket that was accepted. */
interface Exchange {
  /** A request was seen: from then on a close is no sign of trouble. */
  used: boolean;
  /** How it failed has been counted. */
  failed: boolean;
  /** The last request with a body, which may still be arriving. Weak, since an idle connection may live for long. */
  body: WeakRef<IncomingMessage> | undefined;
}

const TIMED_OUT = 'ERR_HTTP_REQUEST_TIMEOUT';

/** Tells the listener what happens on the connections of all servers that are attached. */
export function watchConnections(listener: ConnectionListener): ConnectionWatch {
  const attached = new WeakSet<Server>();
  const exchanges = new WeakMap<Socket, Exchange>();

  function open(socket: Socket): void {
    socket.once('close', listener.opened(socket.remoteAddress));
  }

  function speak(socket: Socket): Exchange {
    const exchange: Exchange = { used: false, failed: false, body: undefined };
    const address = socket.remoteAddress;
    exchanges.set(socket, exchange);
    // Node destroys the socket with the parser's error, unless the application listens for `clientError` itself.
    socket.once('close', () => fail(exchange, address, codeOf(socket.errored)));
    return exchange;
  }

  function fail(exchange: Exchange, address: string | undefined, code: string): void {
    if (exchange.failed) return;
    exchange.failed = true;
    // A body that breaks off or can't be decoded belongs to a request that has been counted already.
    if (exchange.body?.deref()?.complete === false) return;
    if (code === TIMED_OUT) listener.undecided(address);
    else if (code.startsWith('HPE_') || !exchange.used) listener.malformed(address);
  }

  function use(req: IncomingMessage): void {
    const exchange = exchanges.get(req.socket) ?? speak(req.socket);
    exchange.used = true;
    const { headers } = req;
    const hasBody = headers['content-length'] !== undefined || headers['transfer-encoding'] !== undefined;
    exchange.body = hasBody ? new WeakRef(req) : undefined;
  }

  function leaveHttp(req: IncomingMessage): void {
    use(req);
    listener.undecided(req.socket.remoteAddress);
  }

  function attach(server: Server): void {
    if (attached.has(server)) return;
    attached.add(server);
    const isTls = 'setSecureContext' in server;
    server.on('connection', (socket: Socket) => {
      open(socket);
      if (!isTls) speak(socket);
    });
    if (isTls) server.on('secureConnection', speak);
    server.on('request', use);
    listenAlong(server, 'checkContinue', use);
    listenAlong(server, 'checkExpectation', use);
    listenAlong(server, 'upgrade', leaveHttp);
    listenAlong(server, 'connect', leaveHttp);
    listenAlong(server, 'clientError', (error: Error, socket: Socket) => {
      const exchange = exchanges.get(socket);
      if (exchange) fail(exchange, socket.remoteAddress, codeOf(error));
    });
  }

  return {
    attach,
    adopt(req) {
      const socket = req.socket as Socket & { server?: Server };
      if (exchanges.has(socket) || socket.closed) return undefined;
      open(socket);
      use(req);
      const { server } = socket;
      if (server === undefined || attached.has(server)) return undefined;
      attach(server);
      return server;
    },
  };
}

/**
 * Calls `over` when a request is over, once: its response closed, or its connection did, since a response that waits
 * behind another one of a pipeline never closes by itself.
 */
export function watchRequests(): (req: IncomingMessage, res: ServerResponse, over: () => void) => void {
  const unfinished = new WeakMap<Socket, Set<() => void>>();
  return ({ socket }, res, over) => {
    if (socket.closed) {
      over();
      return;
    }
    const pending = unfinished.get(socket) ?? new Set<() => void>();
    if (!unfinished.has(socket)) {
      unfinished.set(socket, pending);
      socket.once('close', () => pending.forEach((end) => end()));
    }
    const end = (): void => {
      if (pending.delete(end)) over();
    };
    pending.add(end);
    res.once('close', end);
  };
}

const codeOf = (error: (Error & { code?: string }) | null): string => error?.code ?? '';

const accompanying = new WeakSet<(...args: never[]) => void>();

/**
 * Listens to an event of the server only while somebody else does. These are the events for which Node does something
 * itself as long as nobody listens: answers 400 to a parse error, say.
 */
function listenAlong(server: Server, event: string, listener: (...args: never[]) => void): void {
  const heard = listener as (...args: unknown[]) => void;
  const isOther = (other: unknown): boolean => !accompanying.has(other as typeof listener);
  const join = (): void => {
    if (!server.listeners(event).includes(heard)) server.prependListener(event, heard);
  };
  accompanying.add(listener);
  if (server.listeners(event).some(isOther)) join();
  server.on('newListener', (name, added) => {
    if (name === event && isOther(added)) join();
  });
  server.on('removeListener', (name) => {
    if (name === event && !server.listeners(event).some(isOther)) server.off(event, heard);
  });
}
