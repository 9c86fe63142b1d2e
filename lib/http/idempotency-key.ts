import type { IncomingMessage } from 'node:http';
import type { Refusal } from '../decision.js';

/** The longest key, in characters. */
const MOST_CHARACTERS = 255;

/** A String of RFC 9651. Parameters after it have no meaning here, and are to be ignored then. */
const QUOTED = /^"((?:[ !#-[\]-~]|\\["\\])*)"(?:;[ -+\--~]*)?$/;

/** What many clients send instead. Like QUOTED it fits nothing with a comma outside quotes: Node joins several headers by one. */
const BARE = /^[!#-+\--:<-[\]-~]+$/;

/**
 * The key of the request's `Idempotency-Key` header (draft-ietf-httpapi-idempotency-key-header), with or without quotes;
 * `undefined` where there is no header.
 */
export function idempotencyKeyOf(req: IncomingMessage): string | Refusal | undefined {
  const header = req.headers['idempotency-key'];
  if (header === undefined) return undefined;
  const text = String(header);
  const key = QUOTED.exec(text)?.[1]?.replace(/\\(.)/g, '$1') ?? BARE.exec(text)?.[0] ?? '';
  return key !== '' && key.length <= MOST_CHARACTERS ? key : invalidKey;
}

const badRequest = (code: string, message: string): Refusal => ({
  allowed: false,
  status: 400,
  code,
  message,
  violated: [],
});

const invalidKey = badRequest(
  'IDEMPOTENCY_KEY_INVALID',
  `Idempotency-Key has to be one string of 1 to ${MOST_CHARACTERS} ASCII characters`,
);

export const missingKey = badRequest('IDEMPOTENCY_KEY_MISSING', 'This request needs an Idempotency-Key');
