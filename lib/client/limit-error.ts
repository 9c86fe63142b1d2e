import type { Refused } from './answer.js';

/** The server refused the call for now, and `retrying` gave up: the wait is too long, or the retries are used up. */
export class LimitError extends Error {
  override readonly name = 'LimitError';
  /** The server's code, for example `RATE_LIMIT_REACHED`; `HTTP_429` or `HTTP_503` where it gave none. */
  readonly code: string;
  /** The name of the limit that refused, where the server told it: `creation-rate`, `concurrency`, … */
  readonly limit: string | undefined;
  /** When to come back, by this machine's clock. `undefined` where the server didn't tell or waiting doesn't help. */
  readonly retryAt: Date | undefined;
  /** The last answer, its body still unread. */
  readonly response: Response;

  constructor({ code, limit, waitMs }: Refused, response: Response, wallNow: number) {
    const when = waitMs === undefined ? '' : `, retry in ${Math.ceil(waitMs / 1000)} s`;
    super(`Refused${limit ? ` by ${limit}` : ''} with status ${response.status}, ${code}${when}`);
    this.code = code;
    this.limit = limit;
    this.retryAt = waitMs === undefined ? undefined : new Date(Math.ceil(wallNow + waitMs));
    this.response = response;
  }
}
