import type { Fetch, RetryingFetch, RetryingInit, Settings } from './options.js';

type Body = RequestInit['body'];

/** One call, made once and tried as often as need be. */
export interface Call {
  signal: AbortSignal | undefined;
  /** Sending it twice does no more than sending it once. */
  repeatable: boolean;
  /** The body can be sent again. */
  resendable: boolean;
  makeBody(): Body | Promise<Body>;
  send(body: Body): Promise<Response>;
  /** The call is one that no server would ever get: a bad URL, header or method, for which fetch rejects as for a network error. */
  malformed(): boolean;
}

const SAFE_METHODS = ['GET', 'HEAD', 'OPTIONS'];

export function prepareCall(
  fetch: Fetch,
  input: Parameters<RetryingFetch>[0],
  { body, ...init }: RetryingInit,
  settings: Settings,
): Call {
  const request = typeof input === 'object' && 'clone' in input ? input : undefined;
  const safe = SAFE_METHODS.includes((init.method ?? request?.method ?? 'GET').toUpperCase());
  const headers = new Headers(init.headers ?? request?.headers);
  if (settings.idempotency && !safe && !headers.has('Idempotency-Key')) {
    headers.set('Idempotency-Key', `"${makeKey()}"`);
    init.headers = headers;
  }
  const signal = eitherSignal(settings.signal, init.signal === undefined ? request?.signal : init.signal);
  if (signal) init.signal = signal;

  return {
    signal,
    repeatable: safe || headers.has('Idempotency-Key'),
    resendable: !isStream(body),
    makeBody: () => (typeof body === 'function' ? body() : body),
    send(made) {
      // A Request can be sent once, its clones too: the original stays unsent.
      return fetch(request ? request.clone() : input, {
        ...init,
        body: made,
        ...(isStream(made) ? { duplex: 'half' } : {}),
      } as RequestInit);
    },
    malformed() {
      try {
        new Request(request ? request.url : input, init);
        return false;
      } catch {
        return true;
      }
    },
  };
}

/** Streams and, in Node, async iterables. */
const isStream = (body: unknown): boolean =>
  typeof body === 'object' && body !== null && ('getReader' in body || Symbol.asyncIterator in body);

function eitherSignal(
  one: AbortSignal | undefined,
  other: AbortSignal | null | undefined,
): AbortSignal | undefined {
  return one && other ? AbortSignal.any([one, other]) : (one ?? other ?? undefined);
}

/** 128 random bits. `crypto.randomUUID` is missing on pages without TLS. */
const makeKey = (): string =>
  Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, '0')).join(
    '',
  );
