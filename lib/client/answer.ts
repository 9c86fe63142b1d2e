import { readRateLimit } from './rate-limit.js';

/** The server did nothing and wants the same call later, or not at all. */
export interface Refused {
  code: string;
  limit: string | undefined;
  /** How long the server told to wait, in milliseconds; `undefined` where it didn't. */
  waitMs: number | undefined;
  /** Waiting doesn't help, or nobody knows how long. */
  final: boolean;
}

/** What an answer asks of the client: nothing more, to come back later, or a retry where that is safe. */
export type Verdict = 'done' | 'failed' | Refused;

/** A limit's refusal has one of these codes; any other 413 means that this request will never fit. */
const LIMIT_CODES = ['RATE_LIMIT_REACHED', 'QUOTA_EXCEEDED', 'LIMIT_BLOCKED'];

/** Refusals are short. Of anything longer only the start is looked at, so that it can't fill the memory. */
const LONGEST_BODY = 65_536;

/** Keeps dates that are computed from a hint valid: past 8.64e15 ms a Date is none. */
const LONGEST_WAIT_MS = 1e15;

export async function readAnswer(response: Response, wallNow: number): Promise<Verdict> {
  const { status, headers } = response;
  if (status < 500 && ![409, 413, 429].includes(status)) return 'done';

  const body = asObject(await readJson(response));
  const info = asObject(body.info ?? body);
  const code = [body.code, body.error].find((value) => typeof value === 'string');
  const refused =
    status === 429 ||
    (status === 413 && LIMIT_CODES.includes(code ?? '')) ||
    (status === 409 && code === 'JOB_IN_PROGRESS') ||
    (status === 503 && headers.has('Retry-After'));
  if (!refused) return status < 500 ? 'done' : 'failed';

  const waitMs = toldWait(headers, info, wallNow);
  const limit = [info.limit, asObject(body['violated-policies'])[0]].find(
    (value) => typeof value === 'string',
  );
  // A quota comes back at a date or not at all: no use in asking every few seconds.
  const final = code === 'LIMIT_BLOCKED' || (code === 'QUOTA_EXCEEDED' && waitMs === undefined);
  return { code: code ?? `HTTP_${status}`, limit, waitMs, final };
}

/** The longest of all that the server says about when to come back; what is over already says nothing. */
function toldWait(headers: Headers, info: Fields, wallNow: number): number | undefined {
  const date = (value: unknown): number => Date.parse(String(value));
  // Against the server's own clock where it tells it: this machine's may be wrong by more than the wait.
  const serverNow = date(headers.get('Date')) || wallNow;
  const after =
    headers.get('Retry-After') ??
    headers.get('RateLimit-Reset') ??
    headers.get('X-RateLimit-Reset') ??
    'untold';
  const seconds = Number(after);
  const told = [
    // Seconds from now; the oldest of these headers has them since 1970 as well.
    Number.isNaN(seconds) ? date(after) - serverNow : seconds * 1000 - (seconds > 1e9 ? serverNow : 0),
    Number(info.retryIn ?? NaN) * 1000,
    date(info.resetsAt) - serverNow,
    ...readRateLimit(headers).map(({ r, t = NaN }) => (r === 0 ? t * 1000 : NaN)),
  ].filter((waitMs) => waitMs >= 0);
  return told.length === 0 ? undefined : Math.min(Math.max(...told), LONGEST_WAIT_MS);
}

type Fields = Record<PropertyKey, unknown>;

const asObject = (value: unknown): Fields =>
  typeof value === 'object' && value !== null ? (value as Fields) : {};

/** The body as JSON, read from a clone: the caller may still want the response. `undefined` when it isn't JSON. */
async function readJson(response: Response): Promise<unknown> {
  try {
    const reader = response.clone().body?.getReader() as ReadableStreamDefaultReader<Uint8Array> | undefined;
    const decoder = new TextDecoder();
    let text = '';
    for (let done = !reader; !done && text.length < LONGEST_BODY;) {
      const chunk = await reader!.read();
      text += decoder.decode(chunk.value, { stream: true });
      done = chunk.done;
    }
    // Settles only when the other half of the clone is cancelled too.
    reader?.cancel().catch(() => undefined);
    return JSON.parse(text) as unknown;
  } catch {
    return undefined;
  }
}
