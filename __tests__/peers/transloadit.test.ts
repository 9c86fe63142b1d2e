import { join } from 'node:path';
import type { JobRef } from '../../lib/index.js';
import { serveMediaApi, type ServedMediaApi } from '../support/media-api.js';
import { spawned } from '../support/spawned.js';
import { expectWaited, triesByPath } from '../support/waits.js';

const LIMIT = 3;
const WINDOW_MS = 2_000;
/** Three rounds: 3 at once, 3 after a window, 1 after another. */
const JOBS = 2 * LIMIT + 1;

jest.setTimeout(60_000);

let served: ServedMediaApi;

beforeEach(async () => {
  const rate = { limit: LIMIT, window: WINDOW_MS };
  const small = { creationRate: rate, concurrency: { limit: JOBS }, urlCount: { limit: 2 } };
  served = await serveMediaApi({ plans: { small }, customers: { acme: 'small' } }, 100);
});

afterEach(() => served.close());

it('the Transloadit SDK is refused with 413, waits, and gets each job made once', async () => {
  const finished: JobRef[] = [];
  let refusals = 0;
  served.api.limits.on('finish', ({ ref }) => finished.push(ref));
  served.api.limits.on('decision', ({ decision }) => void (decision.allowed || (refusals += 1)));

  const script = join(__dirname, 'transloadit-client.mjs');
  const client = spawned(process.execPath, [script, served.url, 'acme', String(JOBS)]);
  const exit = await client.ended();
  expect([exit, exit === 0 ? '' : client.output()]).toEqual([0, '']);
  const { assemblies, cancelled } = JSON.parse(client.output()) as {
    assemblies: { chosenId: string; id: string; ok: string; url: string; results: unknown }[];
    cancelled: string;
  };

  expect(assemblies).toHaveLength(JOBS);
  for (const { chosenId, id, ok, url, results } of assemblies) {
    expect({ id, ok }).toEqual({ id: chosenId, ok: 'ASSEMBLY_COMPLETED' });
    expect(results).toMatchObject({ ':original': [{ name: url }] });
  }
  // It was complete already, so that cancelling it changed nothing.
  expect(cancelled).toBe('ASSEMBLY_COMPLETED');

  const ids = assemblies.map(({ id }) => id).sort();
  expect(new Set(ids).size).toBe(JOBS);
  expect(finished.map(({ id }) => id).sort()).toEqual(ids);

  const tries = triesByPath(served.creations);
  expect([...tries.keys()].sort()).toEqual(ids.map((id) => `/assemblies/${id}`));
  expect(refusals).toBeGreaterThanOrEqual(JOBS - LIMIT);
  expect(expectWaited([...tries.values()], 413)).toEqual({ refusals });
});

it('the Transloadit SDK is told of a body limit at once, and doesn’t try again', async () => {
  const script = join(__dirname, 'transloadit-refused.mjs');
  const client = spawned(process.execPath, [script, served.url, 'acme', '3']);
  expect(await client.ended()).toBe(0);
  expect(JSON.parse(client.output())).toMatchObject({
    name: 'ApiError',
    code: 'TOO_MANY_URLS',
    message: expect.stringMatching(/HTTP 413.*3 URLs were given and 2 are allowed/) as string,
  });
  expect(served.creations.map(({ status }) => status)).toEqual([413]);
  const { limits } = await served.api.limits.usageOf('acme');
  expect(limits.map(({ used }) => used)).toEqual([0, 0]);
});
