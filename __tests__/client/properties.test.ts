import fc from 'fast-check';
import { LimitError, retrying } from '../../lib/client/index.js';
import { scriptedServer, type ScriptedServer, type Step } from '../support/scripted-server.js';
import { virtualTime } from '../support/virtual-time.js';

let server: ScriptedServer;
beforeAll(async () => void (server = await scriptedServer()));
afterAll(() => server.close());

// A few thousand requests take their time on a busy machine.
jest.setTimeout(60_000);

const NOW = Date.UTC(2026, 5, 1);

/** What one step says about time, in one of the ways that servers have, and how long a client must then wait. */
interface Told {
  step: Exclude<Step, (...args: never[]) => void>;
  leastMs: number;
  /** May a client retry it whatever the method? Only where it is safe? Never? */
  retry: 'any' | 'safe' | 'never';
}

const seconds = fc.integer({ min: 0, max: 5000 });
const refusing = fc.constantFrom(
  { status: 413, error: 'RATE_LIMIT_REACHED' },
  { status: 413, error: 'QUOTA_EXCEEDED' },
  { status: 429, error: 'RATE_LIMIT_REACHED' },
  { status: 429, error: '429 Too Many Requests' },
);

const told: fc.Arbitrary<Told> = fc
  .record({
    answer: refusing,
    after: fc.option(seconds, { nil: undefined }),
    retryIn: fc.option(seconds, { nil: undefined }),
    left: fc.array(
      fc.record({ r: fc.nat(3), t: fc.option(seconds, { nil: undefined }), name: fc.string() }),
      { maxLength: 3 },
    ),
    problem: fc.boolean(),
  })
  .map(({ answer: { status, error }, after, retryIn, left, problem }) => {
    const items = left.map(({ r, t, name }) => {
      const printable = name.replace(/[^ -~]/g, '').replace(/["\\]/g, '\\$&');
      return `"${printable}";r=${r}${t === undefined ? '' : `;t=${t}`}`;
    });
    const exhausted = left.filter(({ r }) => r === 0).map(({ t }) => t ?? 0);
    const hints = [after ?? 0, retryIn ?? 0, ...exhausted];
    const silent =
      after === undefined && retryIn === undefined && !left.some(({ r, t }) => r === 0 && t !== undefined);
    return {
      step: {
        status,
        headers: {
          ...(after === undefined ? {} : { 'Retry-After': String(after) }),
          ...(items.length === 0 ? {} : { RateLimit: items.join(', ') }),
        },
        body: problem ? { code: error, retryIn } : { error, info: { retryIn } },
      },
      leastMs: Math.max(1, ...hints) * 1000,
      retry: silent && error === 'QUOTA_EXCEEDED' ? ('never' as const) : ('any' as const),
    };
  });

const failing: fc.Arbitrary<Told> = fc
  .constantFrom<Told['step'][]>('break', { status: 500 }, { status: 502, body: 'x' }, { status: 503 })
  .map((step) => ({ step, leastMs: 1000, retry: 'safe' }));

const final: fc.Arbitrary<Told> = fc
  .constantFrom(200, 201, 400, 401, 403, 404, 408, 409, 410, 413, 422)
  .map((status) => ({
    step: { status, headers: { 'Retry-After': '1' }, body: { error: 'OTHER' } },
    leastMs: 0,
    retry: 'never',
  }));

const run = async (
  script: Told[],
  init: { method: string; key: boolean },
  options: { maxElapsed: number; maxRetries: number; jitter: number; seed: number },
) => {
  const time = virtualTime();
  time.clock.setWall(NOW);
  let state = options.seed;
  // Of few bits, so that sums of times are exact.
  const random = (): number => ((state = (state * 16_807) % 2_147_483_647) % 1024) / 1024;
  /** When each try started, on the clock that only sleeping moves. */
  const tries: number[] = [];
  const api = retrying(
    (input, given) => {
      tries.push(time.clock.now());
      return fetch(input, given);
    },
    {
      clock: time.clock,
      sleep: time.sleep,
      random,
      maxElapsed: options.maxElapsed,
      maxRetries: options.maxRetries,
      jitter: options.jitter,
      budget: { capacity: 1000 },
    },
  );
  server.play(...script.map(({ step }) => step), { status: 200 });
  const headers: Record<string, string> = init.key ? { 'Idempotency-Key': '"k"' } : {};
  const outcome = await api(server.url, { method: init.method, headers }).then(
    (response) => ({ response, error: undefined }),
    (error: unknown) => ({ response: undefined, error }),
  );
  return { ...outcome, tries };
};

const inputs = [
  fc.array(fc.oneof(told, told, failing, final), { minLength: 1, maxLength: 6 }),
  fc.record({ method: fc.constantFrom('GET', 'OPTIONS', 'POST', 'PUT', 'DELETE'), key: fc.boolean() }),
  fc.record({
    maxElapsed: fc.integer({ min: 0, max: 10_000_000 }),
    maxRetries: fc.oneof(fc.constant(Infinity), fc.nat(5)),
    jitter: fc.integer({ min: 0, max: 5000 }),
    seed: fc.integer({ min: 1, max: 2_147_483_646 }),
  }),
] as const;

const isSafe = ({ method, key }: { method: string; key: boolean }): boolean =>
  key || method === 'GET' || method === 'OPTIONS';

test('no retry comes earlier than any of the server’s words allows', async () => {
  await fc.assert(
    fc.asyncProperty(...inputs, async (script, init, options) => {
      const { tries } = await run(script, init, options);
      for (let retry = 1; retry < tries.length; retry++)
        expect(tries[retry]! - tries[retry - 1]!).toBeGreaterThanOrEqual(script[retry - 1]!.leastMs);
    }),
    { numRuns: 300 },
  );
});

test('no try starts after its time, none is one too many, and giving up takes no time', async () => {
  await fc.assert(
    fc.asyncProperty(...inputs, async (script, init, options) => {
      const { tries, error } = await run(script, init, options);
      expect(tries.at(-1)! - tries[0]!).toBeLessThanOrEqual(options.maxElapsed);
      expect(tries.length - 1).toBeLessThanOrEqual(options.maxRetries);
      if (!(error instanceof LimitError)) return;
      // Nothing moved the clock after the last try: so the time to come back counts from there.
      const last = script[tries.length - 1]!;
      const at = Math.ceil(NOW + tries.at(-1)!);
      if (error.retryAt !== undefined) expect(error.retryAt.getTime()).toBeLessThanOrEqual(at + last.leastMs);
      if (last.leastMs > 1000) expect(error.retryAt?.getTime()).toBe(at + last.leastMs);
    }),
    { numRuns: 300 },
  );
});

test('nothing is sent again that must not be', async () => {
  await fc.assert(
    fc.asyncProperty(...inputs, async (script, init, options) => {
      const { tries } = await run(script, init, options);
      expect(server.seen).toHaveLength(tries.length);
      for (const { retry } of script.slice(0, tries.length - 1))
        expect(retry === 'any' || (retry === 'safe' && isSafe(init))).toBe(true);
    }),
    { numRuns: 300 },
  );
});

test('a call that may wait for all of it gets through', async () => {
  const [, init, options] = inputs;
  await fc.assert(
    fc.asyncProperty(
      fc.array(fc.oneof(told, failing), { maxLength: 6 }),
      init,
      options,
      async (script, method, given) => {
        fc.pre(script.every(({ retry }) => retry === 'any' || (retry === 'safe' && isSafe(method))));
        const { response, tries } = await run(script, method, {
          ...given,
          maxElapsed: Infinity,
          maxRetries: Infinity,
        });
        expect(response?.status).toBe(200);
        expect(tries).toHaveLength(script.length + 1);
      },
    ),
    { numRuns: 200 },
  );
});

test('whenever the signal comes while it waits, that moment ends the call', async () => {
  await fc.assert(
    fc.asyncProperty(told, fc.double({ min: 0, max: 1, noNaN: true }), async ({ step, leastMs }, share) => {
      const controller = new AbortController();
      const time = virtualTime();
      const abortAt = share * leastMs;
      let abortedAt = -1;
      const api = retrying(fetch, {
        clock: time.clock,
        // A sleep that is interrupted on its way, as a timer with a signal is.
        async sleep(durationMs, signal) {
          const partMs = Math.min(durationMs, abortAt - time.clock.now());
          time.clock.advance(partMs);
          if (partMs < durationMs) {
            abortedAt = time.clock.now();
            controller.abort(new Error('enough'));
          }
          signal?.throwIfAborted();
        },
        maxElapsed: Infinity,
      });
      server.play(step, { status: 200 });
      const ended = await api(server.url, { method: 'POST', signal: controller.signal }).catch(
        (error: unknown) => error,
      );
      if (ended instanceof LimitError) return; // a quota without a date is not waited for
      expect(ended).toMatchObject({ message: 'enough' });
      expect(time.clock.now()).toBe(abortedAt);
      expect(server.seen).toHaveLength(1);
    }),
    { numRuns: 200 },
  );
});
