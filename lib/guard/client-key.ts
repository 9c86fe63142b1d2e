import { createHash, createHmac, randomBytes } from 'node:crypto';
import { isIP } from 'node:net';
import ipaddr from 'ipaddr.js';

/**
 * What the table knows a client by: 64 bits, and of which kind they are. An IPv4 address and an IPv6 network fit in
 * whole; a name is there as a hash with a secret key, so that nobody can choose two names that meet.
 */
export interface ClientKey {
  kind: number;
  /** Upper 32 bits, unsigned. 0 for IPv4. */
  high: number;
  /** Lower 32 bits, unsigned. */
  low: number;
}

/** A client: its key, and what people call it. */
export interface Client extends ClientKey {
  /** An IPv4 address, an IPv6 network as `2001:db8:1:2::/64`, the name that `client(req)` gave, or `unknown`. */
  name: string;
  /** It comes through a trusted proxy or is named by the application: its connections are its requests. */
  proxied: boolean;
  /** On the allow list: never counted, never refused. */
  allowed: boolean;
}

export const kinds = {
  ipv4: 0,
  ipv6: 1,
  named: 2,
  unknown: 3,
  /**
   * Added for clients that come through a trusted proxy. Their connections are counted in another way, and the
   * proxy's own, which are everybody's, must not be taken for those of a client with the proxy's address.
   */
  proxied: 4,
} as const;

/** The name of all clients whose address is not known. */
export const UNKNOWN = 'unknown';

type Address = ipaddr.IPv4 | ipaddr.IPv6;
/** An address and how many of its leading bits count. */
export type Range = [Address, number];

export interface AddressRules {
  /** Length of the network that is one IPv6 client, 16 to 64 bits. */
  ipv6Subnet: number;
  allow: readonly Range[];
}

/** A range such as `10.0.0.0/8`, `2001:db8::/32` or a single address; `undefined` if it isn't one. */
export function parseRange(text: string): Range | undefined {
  const [address = '', bits, ...rest] = text.split('/');
  if (isIP(address) === 0 || rest.length > 0 || (bits !== undefined && !/^\d{1,3}$/.test(bits)))
    return undefined;
  const parsed = ipaddr.parse(address);
  const widest = parsed.kind() === 'ipv4' ? 32 : 128;
  const length = bits === undefined ? widest : Number(bits);
  if (length > widest) return undefined;
  // A mapped IPv4 address is folded in clients, so a mapped range must be too.
  if (parsed instanceof ipaddr.IPv6 && parsed.isIPv4MappedAddress()) {
    return length < 96 ? undefined : [parsed.toIPv4Address(), length - 96];
  }
  return [parsed, length];
}

/**
 * The client at an address. Takes it as sockets and proxies write it: IPv4, IPv6, IPv4-mapped IPv6 (the same client as
 * the IPv4 address), with a zone, and with a port. Anything else, and no address at all, is the client `unknown`.
 */
export function clientAt(address: string | undefined, rules: AddressRules, proxied: boolean): Client {
  const via = proxied ? kinds.proxied : 0;
  const parsed = parseAddress(address);
  if (parsed === undefined) {
    return { kind: kinds.unknown + via, high: 0, low: 0, name: UNKNOWN, proxied, allowed: false };
  }
  const allowed = rules.allow.some(
    ([range, length]) => range.kind() === parsed.kind() && parsed.match(range, length),
  );
  const bytes = parsed.toByteArray();
  if (parsed.kind() === 'ipv4') {
    return {
      kind: kinds.ipv4 + via,
      high: 0,
      low: word(bytes, 0),
      name: parsed.toString(),
      proxied,
      allowed,
    };
  }
  const { ipv6Subnet } = rules;
  const network = bytes.map(
    (byte, at) => byte & (0xff << Math.min(8, Math.max(0, 8 * (at + 1) - ipv6Subnet))),
  );
  return {
    kind: kinds.ipv6 + via,
    high: word(network, 0),
    low: word(network, 4),
    name: `${ipaddr.fromByteArray(network).toString()}/${ipv6Subnet}`,
    proxied,
    allowed,
  };
}

const word = (bytes: number[], at: number): number =>
  ((bytes[at]! << 24) | (bytes[at + 1]! << 16) | (bytes[at + 2]! << 8) | bytes[at + 3]!) >>> 0;

function parseAddress(text: string | undefined): Address | undefined {
  if (text === undefined) return undefined;
  // Some proxies append the port, which would make every connection a client of its own.
  const bare = isIP(text) > 0 ? text : text.replace(/^\[([^\]]+)\](?::\d+)?$|^([\d.]+):\d+$/, '$1$2');
  return isIP(bare) > 0 ? ipaddr.process(bare) : undefined;
}

const hashKey = randomBytes(32);
const LONGEST_NAME = 200;

/** The client that the application named itself, by any string. */
export function clientNamed(name: string): Client {
  const hash = createHmac('sha256', hashKey).update(name).digest();
  return {
    kind: kinds.named + kinds.proxied,
    high: hash.readUInt32LE(0),
    low: hash.readUInt32LE(4),
    name: name.length <= LONGEST_NAME ? name : `sha256:${createHash('sha256').update(name).digest('hex')}`,
    proxied: true,
    allowed: false,
  };
}

/** What people call the client of a key, as far as the key tells. */
export function nameOf(key: ClientKey, ipv6Subnet: number): string | undefined {
  const bytes = [key.high, key.low].flatMap((part) => [
    part >>> 24,
    (part >>> 16) & 255,
    (part >>> 8) & 255,
    part & 255,
  ]);
  switch (key.kind & ~kinds.proxied) {
    case kinds.ipv4:
      return bytes.slice(4).join('.');
    case kinds.ipv6:
      return `${ipaddr.fromByteArray([...bytes, 0, 0, 0, 0, 0, 0, 0, 0]).toString()}/${ipv6Subnet}`;
    case kinds.unknown:
      return UNKNOWN;
    default:
      return undefined;
  }
}

/** Remembers what `make` answered for the strings asked lately; forgets them all when there are `limit`. */
export function remembering(limit: number, make: (text: string) => Client): (text: string) => Client {
  const known = new Map<string, Client>();
  return (text) => {
    let client = known.get(text);
    if (client === undefined) {
      client = make(text);
      if (known.size >= limit) known.clear();
      known.set(text, client);
    }
    return client;
  };
}
