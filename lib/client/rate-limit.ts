/** A String of RFC 9651. */
const STRING = /"(?:[^"\\]|\\.)*"/g;

/** What is left of one limit: `r`, and `t` in seconds where the server says when more is left. */
export interface Left {
  r: number;
  t: number | undefined;
}

/**
 * The items of a `RateLimit` header (draft-ietf-httpapi-ratelimit-headers). What can't be read is left out: a wrong
 * header must not break a good answer. The next draft may rename r and t: only this file reads them.
 */
export function readRateLimit(headers: Headers): Left[] {
  // Without its strings, the list has commas and semicolons only where they separate.
  const items = (headers.get('RateLimit') ?? '').replace(STRING, '').split(',');
  return items.flatMap((item) => {
    const [r, t] = [/;\s*r=(\d+)\s*(;|$)/, /;\s*t=(\d+)\s*(;|$)/].map((parameter) => {
      const found = parameter.exec(item);
      return found === null ? undefined : Number(found[1]);
    });
    return r === undefined ? [] : [{ r, t }];
  });
}
