import { HumeClient } from 'hume';
import type { JobRef } from '../../lib/index.js';
import { serveMediaApi, type ServedMediaApi } from '../support/media-api.js';
import { expectWaited, triesByPath } from '../support/waits.js';

const LIMIT = 3;
const WINDOW_MS = 2_000;
const bodyLimits = { fileSize: { maxFile: '100kb' }, urlCount: { limit: 2 } };
/** Three rounds, which take the two retries that the SDK has. */
const JOBS = 2 * LIMIT + 1;

jest.setTimeout(60_000);

let served: ServedMediaApi;

beforeEach(async () => {
  const rate = { limit: LIMIT, window: WINDOW_MS };
  const small = { creationRate: rate, concurrency: { limit: JOBS }, ...bodyLimits };
  served = await serveMediaApi({ plans: { small }, customers: { acme: 'small' } }, 100);
});

afterEach(() => served.close());

it('the Hume SDK is refused with 429, waits, and gets each job made once', async () => {
  const finished: JobRef[] = [];
  let refusals = 0;
  served.api.limits.on('finish', ({ ref }) => finished.push(ref));
  served.api.limits.on('decision', ({ decision }) => void (decision.allowed || (refusals += 1)));

  // All creations have the same path; the query tells the tries of one job from those of another.
  const { batch } = new HumeClient({ apiKey: 'acme', environment: served.url }).expressionMeasurement;
  const jobs = await Promise.all(
    Array.from({ length: JOBS }, async (_, index) => {
      const url = `https://example.com/${index}.mp4`;
      const { jobId } = await batch.startInferenceJob(
        { urls: [url] },
        { queryParams: { job: String(index) } },
      );
      return { jobId, url };
    }),
  );
  const ids = jobs.map(({ jobId }) => jobId).sort();
  expect(new Set(ids).size).toBe(JOBS);

  for (const { jobId, url } of jobs) {
    let details = await batch.getJobDetails(jobId);
    while (details.state.status !== 'COMPLETED') details = await batch.getJobDetails(jobId);
    expect(details.request.urls).toEqual([url]);
    expect(details.state).toMatchObject({ numPredictions: 1, numErrors: 0 });
    const [prediction] = await batch.getJobPredictions(jobId);
    expect(prediction).toMatchObject({ source: { type: 'url', url }, results: { errors: [] } });
  }
  expect(finished.map(({ id }) => id).sort()).toEqual(ids);

  const tries = triesByPath(served.creations);
  expect(tries.size).toBe(JOBS);
  expect(refusals).toBeGreaterThanOrEqual(JOBS - LIMIT);
  expect(expectWaited([...tries.values()], 429)).toEqual({ refusals });
});

it('the Hume SDK sends files too', async () => {
  const { batch } = new HumeClient({ apiKey: 'acme', environment: served.url }).expressionMeasurement;
  const file = new File([Buffer.from('%PDF-1.7')], 'a.pdf');
  const { jobId } = await batch.startInferenceJobFromLocalFile({ file: [file], json: { urls: [] } });
  let details = await batch.getJobDetails(jobId);
  while (details.state.status !== 'COMPLETED') details = await batch.getJobDetails(jobId);
  expect(details.request.files).toMatchObject([{ filename: 'a.pdf', contentType: 'application/pdf' }]);
});

it('the Hume SDK is told of a body limit at once, and doesn’t try again', async () => {
  const { batch } = new HumeClient({ apiKey: 'acme', environment: served.url }).expressionMeasurement;
  const large = new File([Buffer.alloc(300_000)], 'large.mp4');
  await expect(batch.startInferenceJobFromLocalFile({ file: [large], json: {} })).rejects.toMatchObject({
    statusCode: 413,
    body: { error: 'FILE_TOO_LARGE', info: { limit: 'max-file', allowed: 102_400, file: 'large.mp4' } },
  });
  const urls = [1, 2, 3].map((index) => `https://example.com/${index}.mp4`);
  await expect(batch.startInferenceJob({ urls })).rejects.toMatchObject({
    statusCode: 413,
    body: { error: 'TOO_MANY_URLS', info: { allowed: 2, received: 3 } },
  });
  expect(served.creations.map(({ status }) => status)).toEqual([413, 413]);
  const { limits } = await served.api.limits.usageOf('acme');
  expect(limits.map(({ used }) => used)).toEqual([0, 0]);
});
