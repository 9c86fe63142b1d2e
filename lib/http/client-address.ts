import type { Request } from 'express';
import {
  clientAt,
  clientNamed,
  remembering,
  UNKNOWN,
  type AddressRules,
  type Client,
} from '../guard/client-key.js';
import { RequestError, type ErrorCode } from '../errors.js';

/** Who a request is from, for the limits that count by network address. */
export interface ClientSettings extends AddressRules {
  /** The application's own answer; `undefined` from it means the address. */
  client?: ((req: Request) => string | undefined) | undefined;
  /** Takes what is wrong with the forwarded headers, each code once. */
  warn: (code: ErrorCode, message: string) => void;
}

export interface ClientResolver {
  /**
   * The client of a request: the name that `client(req)` gives, else `req.ip` as Express's `trust proxy` makes it.
   *
   * @throws {RequestError} `CLIENT_FAILED` or `CLIENT_INVALID`, when `client(req)` throws or doesn't give a string.
   */
  of: (req: Request) => Client;
  /**
   * The client at the other end of a socket; `undefined` if a trusted proxy is there, by the setting that the latest
   * request had. Its connections are nobody's.
   */
  at: (address: string | undefined) => Client | undefined;
}

type Trust = (address: string | undefined, hop: number) => boolean;

/** How many clients are remembered, so that most requests don't have their address parsed. */
const REMEMBERED = 4_096;
/** For how many requests forwarded headers are looked at; a wrong setting shows in the first. */
const CHECKED_REQUESTS = 100;

export function clientResolver(settings: ClientSettings): ClientResolver {
  const { client: nameFor, warn } = settings;
  const direct = remembering(REMEMBERED, (address) => clientAt(address, settings, false));
  const forwarded = remembering(REMEMBERED, (address) => clientAt(address, settings, true));
  const named = remembering(REMEMBERED, clientNamed);
  let unchecked = CHECKED_REQUESTS;
  let trust: Trust | undefined;

  function byAddress(req: Request): Client {
    const address = req.socket.remoteAddress;
    trust = req.app?.get('trust proxy fn') as Trust | undefined;
    const viaProxy = trust !== undefined && trust(address, 0);
    if (unchecked > 0 && nameFor === undefined) {
      unchecked -= 1;
      checkForwarding(req, trust, viaProxy, warn);
    }
    // `req.ip` is the socket's address whenever that isn't trusted; asking it takes longer.
    if (viaProxy) return forwarded(req.ip ?? '');
    return nameFor === undefined ? direct(address ?? '') : forwarded(address ?? '');
  }

  function known(client: Client, req: Request): Client {
    if (client.name !== UNKNOWN) return client;
    const given = JSON.stringify(req.ip ?? null);
    warn(
      'CLIENT_UNKNOWN',
      `the address of a request is missing or not an IP address (${given}); all such requests are counted as one client: ` +
        `check 'trust proxy', or give the option 'client'`,
    );
    return client;
  }

  return {
    of(req) {
      const client = byAddress(req);
      if (nameFor === undefined || client.allowed) return known(client, req);
      const name = askName(nameFor, req);
      return name === undefined ? known(client, req) : named(name);
    },
    at: (address) => (trust?.(address, 0) ? undefined : direct(address ?? '')),
  };
}

function askName(nameFor: (req: Request) => string | undefined, req: Request): string | undefined {
  let name: unknown;
  try {
    name = nameFor(req);
  } catch (cause) {
    throw new RequestError('CLIENT_FAILED', 500, 'client(req) threw', { cause });
  }
  if (name === undefined || (typeof name === 'string' && name !== '')) return name;
  throw new RequestError(
    'CLIENT_INVALID',
    500,
    `client(req) gave ${typeof name}, not a string that is not empty`,
  );
}

/** Addresses of the documentation ranges, which no proxy has. */
const NOBODY = ['192.0.2.1', '2001:db8::1'];

function checkForwarding(
  req: Request,
  trust: Trust | undefined,
  viaProxy: boolean,
  warn: ClientSettings['warn'],
): void {
  const header = ['x-forwarded-for', 'forwarded'].find((name) => req.headers[name] !== undefined);
  if (header === undefined) return;
  if (!viaProxy) {
    warn(
      'FORWARDED_NOT_TRUSTED',
      `a request carries '${header}', but 'trust proxy' does not trust its sender: if that is your proxy, all its clients ` +
        `are counted as one`,
    );
  } else if (trust && NOBODY.every((address) => trust(address, 1_000))) {
    warn(
      'FORWARDED_FROM_ANYONE',
      `'trust proxy' trusts every sender, so a client can choose its address with '${header}': name the proxies or their ` +
        `number`,
    );
  } else if (header === 'forwarded') {
    warn(
      'FORWARDED_NOT_READ',
      `a trusted proxy sends 'Forwarded', which Express does not read: let it send 'X-Forwarded-For'`,
    );
  }
}
