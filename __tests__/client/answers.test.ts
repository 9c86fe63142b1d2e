import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import express, { type RequestHandler } from 'express';
import { rateLimit } from 'express-rate-limit';
import { LimitError, retrying } from '../../lib/client/index.js';
import type { Refusal } from '../../lib/decision.js';
import { answerRefusal, answerSettings } from '../../lib/http/answers.js';
import { refuse } from '../../lib/http/refuse.js';
import { virtualTime } from '../support/virtual-time.js';

const servers: Server[] = [];
afterEach(async () => {
  for (const server of servers.splice(0)) {
    server.closeAllConnections();
    await new Promise((resolve) => server.close(resolve));
  }
});

async function serve(handler: RequestHandler): Promise<string> {
  const server = express().use(handler).listen(0, '127.0.0.1');
  servers.push(server);
  await new Promise((resolve) => server.once('listening', resolve));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

/** Refuses once, then lets pass; the package's own answers. */
const refuseOnce = (
  refusal: Refusal,
  responses: 'json' | 'problem',
  deniedStatus: number,
): Promise<string> => {
  let requests = 0;
  return serve((req, res) => {
    if (++requests > 1) return void res.status(201).json({});
    refuse(req, res, answerRefusal(refusal, answerSettings({ responses, deniedStatus }), req, Date.now()));
  });
};

const refusal: Refusal = {
  allowed: false,
  code: 'RATE_LIMIT_REACHED',
  message: 'Request limit reached',
  problem: 'quota-exceeded',
  limit: 'creation-rate',
  violated: ['creation-rate'],
  retryAfterMs: 40_300,
};

describe.each([
  ['json', 413],
  ['json', 429],
  ['problem', 413],
] as const)('answered as %s with %i', (responses, deniedStatus) => {
  test('a refusal is waited for as long as told', async () => {
    const { clock, sleep, slept } = virtualTime();
    const url = await refuseOnce(refusal, responses, deniedStatus);
    const response = await retrying(fetch, { clock, sleep, jitter: 0 })(url, { method: 'POST', body: 'abc' });
    expect(response.status).toBe(201);
    expect(slept).toEqual([41_000]);
  });

  test.each([
    ['QUOTA_EXCEEDED', 2 * 86_400_000],
    ['LIMIT_BLOCKED', undefined],
    ['RATE_LIMIT_REACHED', 2 * 86_400_000],
  ])('%s with a wait of %p ms is a LimitError at once', async (code, retryAfterMs) => {
    const long: Refusal = { ...refusal, code };
    if (retryAfterMs === undefined) delete long.retryAfterMs;
    else long.retryAfterMs = retryAfterMs;
    const url = await refuseOnce(long, responses, deniedStatus);
    const before = Date.now();
    const error = await retrying(fetch)(url, { method: 'POST', body: 'abc' }).catch(
      (reason: unknown) => reason,
    );
    expect(error).toBeInstanceOf(LimitError);
    const { limit, retryAt, code: told } = error as LimitError;
    expect([told, limit]).toEqual([code, 'creation-rate']);
    if (retryAfterMs === undefined) return expect(retryAt).toBeUndefined();
    // The server's Date header has whole seconds only, so the moment may be a little later; never earlier.
    expect(retryAt!.getTime()).toBeGreaterThanOrEqual(before + retryAfterMs);
    expect(retryAt!.getTime()).toBeLessThan(Date.now() + retryAfterMs + 2000);
  });
});

test('a body that is too large is returned as it is', async () => {
  const never = { ...refusal, code: 'FILE_TOO_LARGE', status: 413, info: { allowed: 1 } };
  delete never.retryAfterMs;
  const url = await refuseOnce(never, 'json', 413);
  const response = await retrying(fetch)(url, { method: 'POST', body: 'abc' });
  expect(response.status).toBe(413);
  expect(await response.json()).toMatchObject({ error: 'FILE_TOO_LARGE' });
});

test.each(['draft-6', 'draft-7', 'draft-8'] as const)(
  'a refusal by express-rate-limit with %s headers is waited for as long as told',
  async (standardHeaders) => {
    const told: unknown[] = [];
    const limiter = rateLimit({
      windowMs: 5000,
      limit: 2,
      standardHeaders,
      handler: (_req, res) => {
        told.push(res.getHeader('Retry-After'));
        res.status(429).end();
      },
    });
    const url = await serve((req, res, next) => {
      void limiter(req, res, (error?: unknown) => (error === undefined ? void res.end() : next(error)));
    });
    // Its window is a real one and the sleeps are not: so the one retry is refused as well.
    const { clock, sleep, slept } = virtualTime();
    const api = retrying(fetch, { clock, sleep, jitter: 0, maxRetries: 1 });
    await api(url);
    await api(url);
    await expect(api(url)).rejects.toMatchObject({ name: 'LimitError', code: 'HTTP_429' });
    expect(Number(told[0])).toBeGreaterThan(1);
    expect(slept).toEqual([Number(told[0]) * 1000]);
  },
);
