// Compiled by types.test.ts, once with the types of Node and once with those of browsers; never run.
import {
  inBatches,
  LimitError,
  retrying,
  TokenBucket,
  type RetryingOptions,
} from '../../../lib/client/index.js';

const api: typeof fetch = retrying(fetch);
retrying(api);
const takesFetch = (given: typeof globalThis.fetch): unknown => given;
takesFetch(retrying(fetch, { maxElapsed: 1000, budget: { capacity: 5 }, spacing: true }));

const wide = retrying(fetch, { budget: new TokenBucket({ perSecond: 2 }) });
const response: Promise<Response> = wide(new URL('https://a.example'), { method: 'POST', body: 'a' });
void wide(new Request('https://a.example'), { body: () => new ReadableStream<Uint8Array>() });
void wide('https://a.example', { body: async () => 'a', signal: new AbortController().signal });
void response;

const batches: string[][] = inBatches(new Set(['a']), 100);
void batches;

export function told(error: unknown): Date | undefined {
  if (!(error instanceof LimitError)) return undefined;
  const [code, limit, answer]: [string, string | undefined, Response] = [
    error.code,
    error.limit,
    error.response,
  ];
  void [code, limit, answer];
  return error.retryAt;
}

// @ts-expect-error durations are numbers of milliseconds here
retrying(fetch, { maxElapsed: '2m' });
// @ts-expect-error no such option
retrying(fetch, { retries: 2 });
// @ts-expect-error no fetch
retrying((url: number) => url);
// @ts-expect-error a body is none of these
void wide('https://a.example', { body: 5 });
// @ts-expect-error nor does a function make them
void wide('https://a.example', { body: () => 5 });
// @ts-expect-error fetch itself takes no function as body, so a plain typeof fetch doesn't either
void api('https://a.example', { body: () => 'a' });

export const options: RetryingOptions = { onRetry: ({ waitMs, code }) => `${waitMs} ${code}` };
