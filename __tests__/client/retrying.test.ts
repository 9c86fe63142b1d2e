import { Readable } from 'node:stream';
import {
  LimitError,
  retrying,
  TokenBucket,
  type RetryEvent,
  type RetryingOptions,
} from '../../lib/client/index.js';
import { scriptedServer, type ScriptedServer, type Step } from '../support/scripted-server.js';
import { virtualTime, type VirtualTime } from '../support/virtual-time.js';

let server: ScriptedServer;
let time: VirtualTime;
beforeAll(async () => void (server = await scriptedServer()));
beforeEach(() => void (time = virtualTime()));
afterAll(() => server.close());

/** A client without luck: the jitter is 0 unless the test says otherwise. */
const client = (options: RetryingOptions = {}) =>
  retrying(fetch, { clock: time.clock, sleep: time.sleep, random: () => 0, ...options });

const ok: Step = { status: 201, body: { ok: true } };
const refusal = (retryIn: number, more = {}): Step => ({
  status: 413,
  headers: { 'Retry-After': String(retryIn) },
  body: {
    error: 'RATE_LIMIT_REACHED',
    message: 'Request limit reached',
    info: { retryIn, limit: 'creation-rate' },
  },
  ...more,
});
const post = { method: 'POST', body: '{"job":1}' };
const failure = async (promise: Promise<unknown>): Promise<LimitError> => {
  const error = await promise.then(
    () => undefined,
    (reason: unknown) => reason,
  );
  expect(error).toBeInstanceOf(LimitError);
  return error as LimitError;
};

describe('how long it waits', () => {
  const wall = (): number => time.clock.wallNow();
  const date = (ms: number): string => new Date(ms).toUTCString();
  const cases: [string, () => Step, number][] = [
    ['Retry-After in seconds', () => ({ status: 429, headers: { 'Retry-After': '41' } }), 41_000],
    [
      'Retry-After as a date',
      () => ({ status: 429, headers: { 'Retry-After': date(wall() + 41_000) } }),
      41_000,
    ],
    [
      "a date against the server's own clock",
      () => ({ status: 429, headers: { 'Retry-After': date(7_041_000), Date: date(7_000_000) } }),
      41_000,
    ],
    [
      'retryIn alone',
      () => ({ status: 413, body: { error: 'RATE_LIMIT_REACHED', info: { retryIn: 41 } } }),
      41_000,
    ],
    ['retryIn where it is longer', () => refusal(41, { headers: { 'Retry-After': '3' } }), 41_000],
    ['Retry-After where it is longer', () => refusal(3, { headers: { 'Retry-After': '41' } }), 41_000],
    [
      'RateLimit of the exhausted limit',
      () => refusal(3, { headers: { RateLimit: '"rate";r=0;t=41, "quota";r=7;t=90000, "slots";r=0' } }),
      41_000,
    ],
    ['a problem', () => ({ status: 429, body: { code: 'RATE_LIMIT_REACHED', retryIn: 41 } }), 41_000],
    ['a 503 with Retry-After', () => ({ status: 503, headers: { 'Retry-After': '41' } }), 41_000],
    [
      'resetsAt within its time',
      () =>
        refusal(1, {
          headers: {},
          body: { error: 'RATE_LIMIT_REACHED', info: { resetsAt: new Date(wall() + 41_000).toISOString() } },
        }),
      41_000,
    ],
    ['RateLimit-Reset', () => ({ status: 429, headers: { 'RateLimit-Reset': '41' } }), 41_000],
    [
      'X-RateLimit-Reset since 1970',
      () => ({ status: 429, headers: { 'X-RateLimit-Reset': String(wall() / 1000 + 41) } }),
      41_000,
    ],
    ['nothing told', () => ({ status: 429 }), 1000],
    ['retryIn 0', () => refusal(0), 1000],
    ['a date that is over', () => ({ status: 429, headers: { 'Retry-After': date(wall() - 5000) } }), 1000],
    [
      'nonsense',
      () => ({ status: 429, headers: { 'Retry-After': 'soon', RateLimit: ';;=,"' }, body: '{"inf' }),
      1000,
    ],
    [
      'JOB_IN_PROGRESS',
      () => ({ status: 409, headers: { 'Retry-After': '1' }, body: { error: 'JOB_IN_PROGRESS' } }),
      1000,
    ],
  ];
  test.each(cases)('%s', async (_name, step, waitMs) => {
    server.play(step(), ok);
    const response = await client()(server.url, post);
    expect(response.status).toBe(201);
    expect(await response.json()).toEqual({ ok: true });
    expect(time.slept).toEqual([waitMs]);
    expect(server.seen.map(({ body }) => body)).toEqual([post.body, post.body]);
  });

  test('longer each time while the server tells nothing, and from the start again once it did', async () => {
    const silent: Step = { status: 429 };
    server.play(silent, silent, silent, refusal(41), silent, ok);
    await client()(server.url, post);
    expect(time.slept).toEqual([1000, 2000, 4000, 41_000, 1000]);
  });

  test('at most a minute where the server tells nothing', async () => {
    server.play({ status: 500 });
    await client({ maxElapsed: Infinity, maxRetries: 9 })(server.url);
    expect(time.slept.slice(-3)).toEqual([60_000, 60_000, 60_000]);
  });

  test('jitter comes on top', async () => {
    server.play(refusal(41), ok);
    await client({ random: () => 0.5 })(server.url, post);
    server.play(refusal(41), ok);
    await client({ random: () => 0.5, jitter: 3000 })(server.url, post);
    expect(time.slept).toEqual([41_500, 42_500]);
  });

  test('twice the jitter where a call is told to wait again', async () => {
    server.play(refusal(41), refusal(41), refusal(41), ok, refusal(41), ok);
    const api = client({ random: () => 0.5, maxElapsed: Infinity });
    await api(server.url, post);
    await api(server.url, post);
    expect(time.slept).toEqual([41_500, 42_000, 42_000, 41_500]);
  });

  test('jitter may be cut short so that the call ends in time, what was told is not', async () => {
    server.play(refusal(41), ok);
    await client({ random: () => 0.9, maxElapsed: 41_200 })(server.url, post);
    expect(time.slept).toEqual([41_200]);
    server.play(refusal(41), ok);
    await failure(client({ maxElapsed: 40_999 })(server.url, post));
    expect(server.seen).toHaveLength(1);
  });

  test('a wait longer than a timer can hold is slept in pieces', async () => {
    const month = 30 * 24 * 3600;
    server.play(refusal(month), ok);
    await client({ maxElapsed: Infinity })(server.url, post);
    expect(time.slept).toEqual([2 ** 31 - 1, month * 1000 - (2 ** 31 - 1)]);
  });
});

describe('what it retries', () => {
  const retried = async (step: Step, init: RequestInit, options: RetryingOptions = {}): Promise<boolean> => {
    server.play(step, ok);
    await client(options)(server.url, init).catch(() => undefined);
    return server.seen.length > 1;
  };
  const methods = ['GET', 'HEAD', 'OPTIONS', 'POST', 'PUT', 'PATCH', 'DELETE'];

  test.each([200, 201, 304, 400, 401, 403, 404, 408, 409, 410, 413, 415, 422])(
    'never a %i',
    async (status) => {
      for (const method of methods)
        expect(
          await retried({ status, headers: { 'Retry-After': '1' } }, { method }, { idempotency: true }),
        ).toBe(false);
    },
  );

  test('never a 413 that says that the body is too large', async () => {
    expect(
      await retried({ status: 413, body: { error: 'FILE_TOO_LARGE', info: { limit: 'file-size' } } }, post),
    ).toBe(false);
    expect(await retried({ status: 413, body: 'RATE_LIMIT_REACHED' }, post)).toBe(false);
  });

  test.each<[string, Step, string[]]>([
    ['429', { status: 429 }, methods],
    ['413 with the code', refusal(1), methods],
    ['503 with Retry-After', { status: 503, headers: { 'Retry-After': '1' } }, methods],
    ['503 without', { status: 503 }, ['GET', 'HEAD', 'OPTIONS']],
    ['500', { status: 500 }, ['GET', 'HEAD', 'OPTIONS']],
    ['504', { status: 504 }, ['GET', 'HEAD', 'OPTIONS']],
    ['a lost answer', 'break', ['GET', 'HEAD', 'OPTIONS']],
  ])('%s', async (name, step, expected) => {
    const found: string[] = [];
    for (const method of methods) {
      // The answer to a HEAD has no body to hold a code.
      if (name === '413 with the code' && method === 'HEAD') found.push(method);
      else if (await retried(step, { method })) found.push(method);
    }
    expect(found).toEqual(expected);
  });

  test.each<[string, Step]>([
    ['500', { status: 500 }],
    ['a lost answer', 'break'],
  ])('%s of any method with an Idempotency-Key of its own', async (_name, step) => {
    expect(await retried(step, { ...post, headers: { 'Idempotency-Key': '"mine"' } })).toBe(true);
    expect(server.seen.map(({ headers }) => headers['idempotency-key'])).toEqual(['"mine"', '"mine"']);
  });

  test('a network error that stays comes out as fetch has it', async () => {
    server.play('break');
    await expect(client({ maxRetries: 2 })(server.url)).rejects.toMatchObject({ name: 'TypeError' });
    expect(server.seen).toHaveLength(3);
  });

  test('a 5xx that stays is returned, its body unread', async () => {
    server.play({ status: 502, body: 'bad gateway' });
    const response = await client({ maxRetries: 2 })(server.url);
    expect(response.status).toBe(502);
    expect(await response.text()).toBe('bad gateway');
  });

  test('a call that could never be sent fails at once', async () => {
    await expect(client()('http://')).rejects.toMatchObject({ name: 'TypeError' });
    await expect(client()(server.url, { headers: { 'bad name': 'x' } })).rejects.toMatchObject({
      name: 'TypeError',
    });
    expect(time.slept).toEqual([]);
  });
});

describe('Idempotency-Key', () => {
  test('is made once a call and is another for the next', async () => {
    server.play('break', { status: 500 }, refusal(1), ok);
    const api = client({ idempotency: true });
    await api(server.url, post);
    await api(server.url, post);
    const keys = server.seen.map(({ headers }) => headers['idempotency-key']);
    expect(keys[0]).toMatch(/^"[0-9a-f]{32}"$/);
    expect(new Set(keys.slice(0, 4)).size).toBe(1);
    expect(keys[4]).not.toBe(keys[0]);
  });

  test('goes along with the other headers, of a Request too, and not with a GET', async () => {
    server.play(ok);
    const api = client({ idempotency: true });
    await api(server.url, { ...post, headers: { Authorization: 'Bearer a' } });
    await api(new Request(server.url, { ...post, headers: { Authorization: 'Bearer b' } }));
    await api(server.url);
    expect(server.seen.map(({ headers }) => [headers.authorization, 'idempotency-key' in headers])).toEqual([
      ['Bearer a', true],
      ['Bearer b', true],
      [undefined, false],
    ]);
  });
});

describe('bodies', () => {
  const form = new FormData();
  form.append('file', new Blob(['abc']), 'a.txt');
  test.each<[string, () => RequestInit['body'], string]>([
    ['a string', () => 'abc', 'abc'],
    ['bytes', () => new TextEncoder().encode('abc'), 'abc'],
    ['a Blob', () => new Blob(['abc']), 'abc'],
    ['parameters', () => new URLSearchParams({ a: 'b' }), 'a=b'],
    ['a form', () => form, 'abc'],
  ])('%s is sent again as it was', async (_name, body, expected) => {
    server.play(refusal(1), ok);
    await client()(server.url, { method: 'POST', body: body() });
    expect(server.seen).toHaveLength(2);
    for (const seen of server.seen) expect(seen.body).toContain(expected);
  });

  test.each<[string, () => RequestInit['body']]>([
    ['a web stream', () => new Blob(['abc']).stream()],
    ['a Node stream', () => Readable.from(['a', 'bc'])],
  ])('%s is sent once', async (_name, body) => {
    server.play(refusal(41), ok);
    const error = await failure(client()(server.url, { method: 'POST', body: body() }));
    expect(server.seen.map((seen) => seen.body)).toEqual(['abc']);
    expect(error.retryAt!.getTime()).toBe(time.clock.wallNow() + 41_000);
  });

  test('a stream that can only be read by its reader is sent once, too', async () => {
    const body = { getReader: () => undefined } as unknown as RequestInit['body'];
    let sent = 0;
    const refusing = async (): Promise<Response> => {
      sent++;
      return new Response(null, { status: 429 });
    };
    const api = retrying(refusing, { clock: time.clock, sleep: time.sleep });
    await failure(api(server.url, { method: 'POST', body }));
    expect(sent).toBe(1);
  });

  test('a function makes a new stream for each try', async () => {
    server.play(refusal(1), 'break', ok);
    await client({ idempotency: true })(server.url, {
      method: 'POST',
      body: async () => new Blob(['abc']).stream(),
    });
    expect(server.seen.map((seen) => seen.body)).toEqual(['abc', 'abc', 'abc']);
  });

  test('what that function throws is no network error', async () => {
    server.play(ok);
    const body = (): never => {
      throw new Error('no such file');
    };
    await expect(client({ idempotency: true })(server.url, { method: 'POST', body })).rejects.toThrow(
      'no such file',
    );
    expect(time.slept).toEqual([]);
  });

  test('a Request is sent again, and init counts more than it', async () => {
    server.play(refusal(1), ok);
    const response = await client()(new Request(server.url, { method: 'POST', body: 'abc' }), {
      method: 'PUT',
    });
    expect(response.status).toBe(201);
    expect(server.seen.map(({ method, body }) => [method, body])).toEqual([
      ['PUT', 'abc'],
      ['PUT', 'abc'],
    ]);
  });
});

describe('giving up', () => {
  test('at once where the wait is past its time, with when to come back', async () => {
    server.play(refusal(121));
    const before = time.clock.wallNow();
    const error = await failure(client()(server.url, post));
    expect(time.slept).toEqual([]);
    expect(error).toMatchObject({ name: 'LimitError', code: 'RATE_LIMIT_REACHED', limit: 'creation-rate' });
    expect(error.retryAt).toEqual(new Date(before + 121_000));
    expect(error.message).toBe(
      'Refused by creation-rate with status 413, RATE_LIMIT_REACHED, retry in 121 s',
    );
    expect(error.response.status).toBe(413);
    expect(await error.response.json()).toMatchObject({ info: { retryIn: 121 } });
  });

  test('after so many retries', async () => {
    server.play(refusal(1));
    await failure(client({ maxRetries: 3 })(server.url, post));
    expect(server.seen).toHaveLength(4);
    server.play(refusal(1));
    await failure(client({ maxRetries: 0 })(server.url, post));
    expect(server.seen).toHaveLength(1);
  });

  test('before the first wait that would end too late', async () => {
    server.play(refusal(30));
    await failure(client({ maxElapsed: 100_000 })(server.url, post));
    expect(time.slept).toEqual([30_000, 30_000, 30_000]);
  });

  test('a quota: at its date, and at once where there is none', async () => {
    const resetsAt = new Date(time.clock.wallNow() + 86_400_000);
    server.play({
      status: 413,
      body: { error: 'QUOTA_EXCEEDED', info: { resetsAt: resetsAt.toISOString(), limit: 'jobs' } },
    });
    expect(await failure(client()(server.url, post))).toMatchObject({
      code: 'QUOTA_EXCEEDED',
      limit: 'jobs',
      retryAt: resetsAt,
    });
    server.play({ status: 429, body: { code: 'QUOTA_EXCEEDED' } });
    expect(await failure(client()(server.url, post))).toMatchObject({
      code: 'QUOTA_EXCEEDED',
      retryAt: undefined,
    });
    expect(time.slept).toEqual([]);
    server.play({ status: 413, body: { error: 'QUOTA_EXCEEDED', info: { retryIn: 90 } } }, ok);
    expect((await client()(server.url, post)).status).toBe(201);
  });

  test('a limit of 0 at once, whatever it says', async () => {
    server.play({
      status: 413,
      headers: { 'Retry-After': '1' },
      body: { error: 'LIMIT_BLOCKED', info: { limit: 'creation-rate' } },
    });
    expect(await failure(client()(server.url, post))).toMatchObject({
      code: 'LIMIT_BLOCKED',
      limit: 'creation-rate',
    });
    expect(server.seen).toHaveLength(1);
  });

  test('answers of other servers: the status as code, the policy as limit', async () => {
    server.play({ status: 429, headers: { 'Retry-After': '600' }, body: 'slow down' });
    const plain = await failure(client()(server.url, post));
    expect(plain).toMatchObject({ code: 'HTTP_429', limit: undefined });
    expect(await plain.response.text()).toBe('slow down');
    server.play({
      status: 429,
      headers: { 'Retry-After': '600' },
      body: { title: 'Quota', 'violated-policies': ['daily'] },
    });
    expect(await failure(client()(server.url, post))).toMatchObject({ code: 'HTTP_429', limit: 'daily' });
  });

  test('a wait beyond all dates is still a date', async () => {
    server.play({ status: 429, headers: { 'Retry-After': '9'.repeat(30) } });
    const { retryAt } = await failure(client()(server.url, post));
    expect(retryAt!.getTime()).toBeGreaterThan(time.clock.wallNow());
  });

  const endless =
    (onClose: () => void): Step =>
    (res) => {
      res.writeHead(429, { 'Retry-After': '41' });
      const more = (): void => {
        while (!res.destroyed && res.write('x'.repeat(16_384)));
      };
      res.on('drain', more).on('close', onClose);
      more();
    };

  test('a refusal with an endless body is read from its start only', async () => {
    server.play(endless(() => undefined));
    const error = await failure(client({ maxRetries: 0 })(server.url, post));
    expect(error.code).toBe('HTTP_429');
    await error.response.body!.cancel();
  });

  test('its connection is freed by the retry', async () => {
    const closed = new Promise<void>((resolve) => server.play(endless(resolve), ok));
    expect((await client()(server.url, post)).status).toBe(201);
    await closed;
  });
});

describe('abort', () => {
  test.each(['its own', 'a Request’s', "the client's"])('%s signal ends a wait at once', async (whose) => {
    const controller = new AbortController();
    const { signal } = controller;
    // The system's own clock and sleep: the wait would last ten minutes.
    const api = retrying(fetch, {
      maxElapsed: Infinity,
      onRetry: () => setImmediate(() => controller.abort(new Error('enough'))),
      ...(whose === "the client's" ? { signal } : {}),
    });
    server.play(refusal(600));
    const call =
      whose === 'its own'
        ? api(server.url, { ...post, signal })
        : whose === "the client's"
          ? api(server.url, post)
          : api(new Request(server.url, { ...post, signal }));
    await expect(call).rejects.toThrow('enough');
    expect(server.seen).toHaveLength(1);
  });

  test('an abort in flight is no network error, with both signals there', async () => {
    const controller = new AbortController();
    server.play(() => controller.abort(new Error('enough')));
    const events: RetryEvent[] = [];
    const api = client({ signal: new AbortController().signal, onRetry: (event) => events.push(event) });
    await expect(api(server.url, { signal: controller.signal })).rejects.toThrow('enough');
    expect(time.slept).toEqual([]);
    expect(events).toEqual([]);
  });

  test('no timer is left of an aborted wait, to keep the process alive', async () => {
    const timers = (): number => process.getActiveResourcesInfo().filter((name) => name === 'Timeout').length;
    const controller = new AbortController();
    let waiting = 0;
    const onRetry = (): void =>
      void setImmediate(() => {
        waiting = timers();
        controller.abort(new Error('enough'));
      });
    server.play(refusal(600));
    const api = retrying(fetch, { maxElapsed: Infinity, onRetry });
    await expect(api(server.url, { signal: controller.signal })).rejects.toThrow('enough');
    expect(timers()).toBe(waiting - 1);
  });

  test('an abort while the refusal is read ends the call', async () => {
    const controller = new AbortController();
    server.play((res) => void res.writeHead(413).write('{'));
    const aborting = retrying(async (input, init) => {
      const response = await fetch(input, init);
      setImmediate(() => controller.abort(new Error('enough')));
      return response;
    });
    await expect(aborting(server.url, { ...post, signal: controller.signal })).rejects.toThrow('enough');
  });

  test('an aborted signal sends nothing', async () => {
    server.play(ok);
    await expect(client()(server.url, { signal: AbortSignal.abort(new Error('enough')) })).rejects.toThrow(
      'enough',
    );
    expect(server.seen).toHaveLength(0);
  });
});

describe('the budget', () => {
  test('runs dry: retries come at its pace', async () => {
    server.play(refusal(1));
    await failure(client({ budget: { capacity: 3, perSecond: 0.1 }, maxElapsed: 60_000 })(server.url, post));
    // The first retry comes after 1 s; from then on the bucket grows, until the call's minute is over.
    const arrivals = 1 + Math.floor(3 + (60 - 1) * 0.1);
    expect(server.seen).toHaveLength(arrivals);
  });

  test('belongs to all calls, and success brings tokens back', async () => {
    const budget = new TokenBucket({ capacity: 2, perSecond: 0 });
    const api = client({ budget });
    server.play(refusal(1), ok);
    for (let call = 0; call < 5; call++) {
      server.play(refusal(1), ok);
      expect((await api(server.url, post)).status).toBe(201);
    }
    server.play(refusal(1));
    await failure(client({ budget })(server.url, post));
    expect(server.seen).toHaveLength(3);
    await failure(api(server.url, post));
    expect(server.seen).toHaveLength(4);
  });
});

test('onRetry is told of each wait, and its error ends the call', async () => {
  const events: RetryEvent[] = [];
  server.play(refusal(2), { status: 500 }, 'break', ok);
  await client({ idempotency: true, random: () => 0.5, onRetry: (event) => events.push(event) })(
    server.url,
    post,
  );
  expect(events).toMatchObject([
    { retry: 1, waitMs: 2500, code: 'RATE_LIMIT_REACHED', limit: 'creation-rate', response: { status: 413 } },
    { retry: 2, waitMs: 2000, code: undefined, response: { status: 500 }, error: undefined },
    {
      retry: 3,
      waitMs: 3000,
      code: undefined,
      response: undefined,
      error: { name: 'TypeError' },
    },
  ]);
  const onRetry = (): never => {
    throw new Error('stop');
  };
  server.play(refusal(2), ok);
  await expect(client({ onRetry })(server.url, post)).rejects.toThrow('stop');
  expect(server.seen).toHaveLength(1);
});

test('an option without a value has its default', async () => {
  server.play(refusal(1), ok);
  const none = { maxElapsed: undefined, maxRetries: undefined, random: undefined, onRetry: undefined };
  await client(none as object)(server.url, post);
  expect(time.slept[0]).toBeGreaterThanOrEqual(1000);
});

test.each<[object, string, string]>([
  [
    { maxElapsd: 5 },
    'CONFIG_UNKNOWN_OPTION',
    'retrying.maxElapsd: expected no such option, received 5 (number)',
  ],
  [
    { maxElapsed: '2m' },
    'CONFIG_INVALID_OPTION',
    'retrying.maxElapsed: expected a number of at least 0, received 2m (string)',
  ],
  [
    { maxRetries: -1 },
    'CONFIG_INVALID_OPTION',
    'retrying.maxRetries: expected a number of at least 0, received -1 (number)',
  ],
  [
    { jitter: NaN },
    'CONFIG_INVALID_OPTION',
    'retrying.jitter: expected a number of at least 0, received NaN (number)',
  ],
  [{ spacing: 1 }, 'CONFIG_INVALID_OPTION', 'retrying.spacing: expected a boolean, received 1 (number)'],
  [
    { budget: { capacity: 0 } },
    'CONFIG_INVALID_OPTION',
    'budget.capacity: expected a number of at least 1, received 0 (number)',
  ],
])('the option %p is %s', (options, code, message) => {
  expect(() => retrying(fetch, options)).toThrow(
    expect.objectContaining({ name: 'TypeError', code, message }) as Error,
  );
});
