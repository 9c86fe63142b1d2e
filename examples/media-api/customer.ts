import type { Request } from 'express';
import { readFormPrefix } from 'express-job-limits';

/**
 * The API key of a request, by any of the ways in which the two APIs' clients send it: a bearer token, Hume's header, or
 * Transloadit's `params`, which is a query parameter where there is no body and a field of the form where there is one.
 * The form's files are not waited for, and where a header or the URL has a key the body is not looked at.
 *
 * An example has no accounts: the key itself is the customer's id here. A real API looks up whose key it is, and checks
 * Transloadit's signature.
 */
export async function keyOf(req: Request): Promise<string | undefined> {
  const bearer = /^Bearer +(\S+) *$/i.exec(req.get('authorization') ?? '')?.[1];
  const named = bearer ?? req.get('x-hume-api-key') ?? keyIn(req.query.params);
  return named ?? keyIn((await readFormPrefix(req)).params);
}

/** `params` is JSON: `{ "auth": { "key": "…" }, … }`. */
function keyIn(params: unknown): string | undefined {
  if (typeof params !== 'string') return undefined;
  try {
    const { auth } = JSON.parse(params) as { auth?: { key?: unknown } };
    return typeof auth?.key === 'string' ? auth.key : undefined;
  } catch {
    return undefined;
  }
}
