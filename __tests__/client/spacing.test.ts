import { retrying } from '../../lib/client/index.js';
import { scriptedServer, type ScriptedServer, type Step } from '../support/scripted-server.js';
import { manualTime, virtualTime } from '../support/virtual-time.js';

let server: ScriptedServer;
beforeAll(async () => void (server = await scriptedServer()));
afterAll(() => server.close());

const left = (RateLimit: string, status = 200): Step => ({
  status,
  headers: { RateLimit, 'Retry-After': '1' },
});

/** Calls one after the other; how long each waited before its first try. */
async function waits(calls: number, steps: Step[], options = {}): Promise<number[]> {
  const { clock, sleep } = virtualTime();
  const api = retrying(fetch, { clock, sleep, random: () => 0, spacing: true, ...options });
  server.play(...steps);
  const found: number[] = [];
  for (let call = 0; call < calls; call++) {
    const begun = clock.now();
    await api(server.url);
    found.push(clock.now() - begun);
  }
  return found;
}

test('what is left is spread over the time until the reset', async () => {
  expect(await waits(3, [left('"rate";r=240;t=60')])).toEqual([0, 250, 250]);
});

test('the tightest of several limits counts', async () => {
  expect(await waits(2, [left('"a";r=10;t=1, "b";r=10;t=60, "c";r=50')])).toEqual([0, 6000]);
});

test('an exhausted limit is waited for, with jitter', async () => {
  expect(await waits(2, [left('"rate";r=0;t=41')])).toEqual([0, 41_000]);
  expect(await waits(2, [left('"rate";r=0;t=41')], { random: () => 0.5 })).toEqual([0, 41_500]);
});

test('an exhausted limit without a time is waited for a second', async () => {
  expect(await waits(2, [left('"concurrency";r=0')])).toEqual([0, 1000]);
});

test('a limit that resets after the longest time of a call is none to spread over', async () => {
  expect(await waits(2, [left('"quota";r=5;t=121')])).toEqual([0, 0]);
  expect(await waits(2, [left('"quota";r=0;t=121')])).toEqual([0, 0]);
  expect(await waits(2, [left('"quota";r=1;t=121')], { maxElapsed: 121_000 })).toEqual([0, 121_000]);
});

test('what an answer says replaces what the one before said', async () => {
  expect(await waits(3, [left('"rate";r=1;t=60'), left('"rate";r=60;t=60')])).toEqual([0, 60_000, 1000]);
  expect(await waits(3, [left('"rate";r=1;t=60'), { status: 200 }])).toEqual([0, 60_000, 0]);
});

test('without the option and without the header nothing is waited for', async () => {
  expect(await waits(2, [left('"rate";r=0;t=41')], { spacing: false })).toEqual([0, 0]);
  expect(await waits(2, [{ status: 200 }])).toEqual([0, 0]);
});

test('waiting for a turn takes nothing from the time of the call', async () => {
  const refused = left('"rate";r=0;t=60', 429);
  expect(await waits(2, [left('"rate";r=0;t=60'), refused, { status: 200 }], { maxElapsed: 60_000 })).toEqual(
    [0, 120_000],
  );
});

test.each([
  ['take turns', '"rate";r=4;t=1', 5, [0, 250, 500, 750, 1000]],
  [
    'are all let go at the reset, for what comes then is not known',
    '"rate";r=1;t=1',
    1,
    [0, 1000, 1000, 1000, 1000],
  ],
])('calls at the same time %s', async (_name, RateLimit, answers, expected) => {
  const time = manualTime();
  const starts: number[] = [];
  // Without a socket, so that the test can tell when all answers are there.
  const instant = async (): Promise<Response> => {
    starts.push(time.clock.now());
    if (starts.length > answers) return new Promise(() => undefined);
    return new Response(null, { headers: { RateLimit } });
  };
  const api = retrying(instant, { clock: time.clock, sleep: time.sleep, random: () => 0, spacing: true });
  await api('https://api.example.com');
  for (let call = 0; call < 4; call++) void api('https://api.example.com');
  await time.pass(1000);
  expect(starts).toEqual(expected);
});

test('an abort ends the wait for a turn', async () => {
  const controller = new AbortController();
  const api = retrying(fetch, { spacing: true });
  server.play(left('"rate";r=0;t=100'));
  await api(server.url);
  const waiting = api(server.url, { signal: controller.signal });
  setImmediate(() => controller.abort(new Error('enough')));
  await expect(waiting).rejects.toThrow('enough');
  expect(server.seen).toHaveLength(1);
});
