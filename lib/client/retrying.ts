import { readAnswer, type Verdict } from './answer.js';
import { prepareCall, type Call } from './call.js';
import { LimitError } from './limit-error.js';
import {
  settingsOf,
  type Fetch,
  type RetryingFetch,
  type RetryingOptions,
  type Settings,
} from './options.js';
import { readRateLimit } from './rate-limit.js';
import { Spacing } from './spacing.js';
import { pauseUntil } from './time.js';

/** The shortest wait before a retry, and the first of the growing ones where the server tells none. */
const SHORTEST_WAIT_MS = 1000;
const LONGEST_UNTOLD_WAIT_MS = 60_000;

/**
 * Wraps a `fetch` so that it waits and retries as an API with limits asks its clients to.
 *
 * Refusals (429, 413 with a limit's code, 503 with `Retry-After`) are retried whatever the method, for the server did
 * nothing. Network errors and other 5xx are retried for GET, HEAD, OPTIONS and calls with an `Idempotency-Key`. All
 * other answers are returned as they are. Make one for each API: the budget and the spacing belong to all its calls.
 *
 * The wrapped fetch throws a {@link LimitError} when it is refused and gives up; network errors and 5xx come out as
 * from `fetch` itself.
 *
 * @throws {TypeError} With code `CONFIG_UNKNOWN_OPTION` or `CONFIG_INVALID_OPTION`.
 *
 * @example
 * const api = retrying(fetch, { idempotency: true });
 * const response = await api('https://api.example.com/jobs', { method: 'POST', body: JSON.stringify(job) });
 */
export function retrying(fetch: Fetch, options: RetryingOptions = {}): RetryingFetch {
  const settings = settingsOf(options);
  const { clock, random, jitter, maxElapsed, maxRetries, budget, onRetry } = settings;
  const spacing = settings.spacing ? new Spacing() : undefined;

  return async function retryingFetch(input, init = {}) {
    const call = prepareCall(fetch, input, init, settings);
    if (spacing) {
      const jitterMs = random() * jitter;
      const freeAt = (): number => spacing.freeAt(jitterMs);
      // Asked again after each pause, for another call may have come first in the meantime.
      do await pauseUntil(freeAt, settings, call.signal);
      while (freeAt() > clock.now());
    }
    const deadline = clock.now() + maxElapsed;

    for (let retry = 0, untold = 0; ;) {
      spacing?.start(clock.now());
      const { verdict, response, error } = await attempt(call, settings);
      if (response) spacing?.note(readRateLimit(response.headers), clock.now(), maxElapsed);
      if (verdict === 'done') {
        budget.giveBack();
        return response;
      }

      const refused = verdict === 'failed' ? undefined : verdict;
      const giveUp = (): Response => {
        if (refused) throw new LimitError(refused, response!, clock.wallNow());
        if (response) return response;
        throw error;
      };
      // Waits grow only while the server is silent: one that tells the time is alive.
      untold = refused?.waitMs === undefined ? untold + 1 : 0;
      const waitMs =
        refused?.waitMs ?? Math.min(SHORTEST_WAIT_MS * 2 ** (untold - 1), LONGEST_UNTOLD_WAIT_MS);
      const earliest = clock.now() + Math.max(waitMs, SHORTEST_WAIT_MS);
      const maySend = call.resendable && (refused ? !refused.final : call.repeatable);
      if (!maySend || retry >= maxRetries || earliest > deadline) return giveUp();

      // More came than the server reckoned with when it is not the first: those are spread wider. Jitter may be cut short
      // by the deadline, what the server told never.
      let until = Math.min(earliest + random() * jitter * (retry > 0 ? 2 : 1), deadline);
      retry++;
      onRetry?.({
        retry,
        waitMs: until - clock.now(),
        code: refused?.code,
        limit: refused?.limit,
        response,
        error,
      });
      for (;;) {
        await pauseUntil(() => until, settings, call.signal);
        const shortOfMs = budget.take(clock.now());
        if (shortOfMs === 0) break;
        until = clock.now() + shortOfMs + random() * jitter;
        if (until > deadline) return giveUp();
      }
      // Frees the connection.
      response?.body?.cancel().catch(() => undefined);
    }
  };
}

type Attempt =
  | { verdict: Verdict; response: Response; error?: undefined }
  | { verdict: 'failed'; response?: undefined; error: unknown };

async function attempt(call: Call, { clock }: Settings): Promise<Attempt> {
  const body = await call.makeBody();
  let response;
  try {
    response = await call.send(body);
  } catch (error) {
    if (call.signal?.aborted || call.malformed()) throw error;
    return { verdict: 'failed', error };
  }
  const verdict = await readAnswer(response, clock.wallNow());
  call.signal?.throwIfAborted();
  return { verdict, response };
}
