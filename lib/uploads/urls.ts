import ipaddr from 'ipaddr.js';
import type { Refusal } from '../decision.js';
import { badUrl, tooManyUrls } from './refusals.js';

/** Which URLs a job may be given. */
export interface UrlRules {
  /** How many there may be. `Infinity` for no limit. */
  limit: number;
  /** Without the colon, in lower case. */
  schemes: string[];
  privateAddresses: boolean;
  duplicates: boolean;
}

/** URLs in the form in which they were checked; hand these on, not what the client wrote. */
export interface CheckedUrls {
  urls: string[];
}

/**
 * Counts and checks a list of URLs. Nothing is requested and no name is looked up, so that a name which leads to a
 * private address passes: see `isPublicAddress` for what fetches them.
 */
export function checkUrls(list: unknown[], rules: UrlRules): CheckedUrls | Refusal {
  if (list.length > rules.limit) return tooManyUrls(rules.limit, list.length);
  const urls: string[] = [];
  const seen = new Map<string, number>();
  for (const [index, entry] of list.entries()) {
    const url = parse(entry);
    if (url === undefined) {
      const text = typeof entry === 'string' ? entry : undefined;
      return badUrl({ code: 'URL_INVALID', why: 'is not an absolute URL', index, url: text });
    }
    const refusal = checkUrl(url, index, rules);
    if (refusal !== undefined) return refusal;
    url.hash = '';
    const first = seen.get(url.href);
    if (first !== undefined && !rules.duplicates) {
      const why = `is the same as URL ${first + 1}`;
      return badUrl({ code: 'DUPLICATE_URL', why, index, url: url.href, limit: 'duplicates' });
    }
    seen.set(url.href, index);
    urls.push(url.href);
  }
  return { urls };
}

function parse(entry: unknown): URL | undefined {
  // `URL` drops white space and turns backslashes: two URLs on two lines would be one, and a host another.
  if (typeof entry !== 'string' || /[\s\\\p{Cc}]/u.test(entry)) return undefined;
  return URL.canParse(entry) ? new URL(entry) : undefined;
}

function checkUrl(url: URL, index: number, rules: UrlRules): Refusal | undefined {
  const scheme = url.protocol.slice(0, -1);
  if (!rules.schemes.includes(scheme)) {
    const why = `has the scheme '${scheme}', allowed are ${rules.schemes.join(', ')}`;
    return badUrl({ code: 'URL_SCHEME', why, index, url: withoutSecrets(url), limit: 'schemes' });
  }
  if (url.username !== '' || url.password !== '') {
    const why = 'has a user or a password in it';
    return badUrl({ code: 'URL_CREDENTIALS', why, index, url: withoutSecrets(url) });
  }
  if (!rules.privateAddresses && isPrivateHost(url.hostname)) {
    const why = `leads to '${url.hostname}', which is not public`;
    return badUrl({ code: 'PRIVATE_ADDRESS', why, index, url: url.href, limit: 'private-addresses' });
  }
  return undefined;
}

function withoutSecrets(url: URL): string {
  const copy = new URL(url);
  copy.username = '';
  copy.password = '';
  return copy.href;
}

/** Names that never are of the public internet (RFC 6761, 6762, 8375, and ICANN's reservation of `internal`). */
const PRIVATE_NAMES = /(?:^|\.)(?:localhost|local|internal|home\.arpa|localdomain|lan|intranet|corp|home)$/;

/** Whether a URL's host, as `URL` gives it, is a private address, or a name that only a private network knows. */
function isPrivateHost(hostname: string): boolean {
  const host = hostname.replace(/^\[|\]$/g, '').replace(/\.+$/, '');
  if (ipaddr.isValid(host)) return !isPublicAddress(host);
  // A name without a dot is searched for in the machine's own domains.
  return host === '' || !host.includes('.') || PRIVATE_NAMES.test(host.toLowerCase());
}

/**
 * Whether an IP address is one of the public internet: not loopback, private, link-local, reserved, nor an IPv6 form
 * that stands for such an IPv4 address. Ask it of the address that a name was resolved to, in the `lookup` of whatever
 * fetches a URL and at each redirect: only then does the check hold.
 */
export function isPublicAddress(address: string): boolean {
  if (!ipaddr.isValid(address)) return false;
  const parsed = ipaddr.process(address);
  if (parsed.range() !== 'unicast') return false;
  // Nothing else of IPv6 is given out (RFC 4291); ::7f00:1, once a form of 127.0.0.1, reads as unicast too.
  return parsed.kind() === 'ipv4' || parsed.match(ipaddr.IPv6.parse('2000::'), 3);
}

/**
 * What a path names in a body: `urls`, `input.urls`, `files.*.url`. A star stands for every entry. Where the path goes
 * on into a text, the text is read as JSON, since forms carry JSON in fields.
 */
export function valuesAt(body: unknown, path: string): unknown[] {
  let values: unknown[] = [body];
  for (const step of path.split('.')) {
    values = values.map(decoded).flatMap((value) => {
      if (typeof value !== 'object' || value === null) return [];
      if (step === '*') return Object.values(value) as unknown[];
      return Object.hasOwn(value, step) ? [(value as Record<string, unknown>)[step]] : [];
    });
  }
  // A field of a form may hold a JSON list of URLs.
  return values.flatMap((value) => asList(decoded(value)));
}

/** A list is its entries, nothing is none, and anything else is one URL, or something that isn't one. */
export function asList(value: unknown): unknown[] {
  if (Array.isArray(value)) return value as unknown[];
  return value === undefined || value === null || value === '' ? [] : [value];
}

function decoded(value: unknown): unknown {
  if (typeof value !== 'string' || !/^\s*[[{]/.test(value)) return value;
  try {
    return JSON.parse(value) as unknown;
  } catch {
    return value;
  }
}
