import { Router } from 'express';
import { storedJobOfRequest, type JobLimits } from 'express-job-limits';
import type { JobInfo, MediaJob } from './ended-jobs.js';
import { HttpError } from './http-error.js';
import { bodyLimits, jsonField, listOf, reportsOf, type Fields, type Report } from './inputs.js';
import type { JobRunner } from './jobs.js';

/** Jobs in the shape of Hume's batch API. */
export function batchJobs(limits: JobLimits, jobs: JobRunner): Router {
  const router = Router();

  // This API's clients retry a 429, which waiting helps, and never a 413, which is what a body limit answers.
  const admitted = limits.admission({ deniedStatus: 429 });
  router.post('/jobs', admitted, ...bodyLimits(limits, urlsIn), async (req, res) => {
    const reports = await reportsOf(req);
    const job = await limits.job(req).commit((ref) => jobs.start(ref, reports));
    res.json({ job_id: job.ref.id });
  });

  const status = limits.jobRetention({ of: 'metadata', unknown: 404 });
  router.get('/jobs/:id', limits.requestRate(), status, async (req, res) => {
    res.json(details(known(await jobs.get(storedJobOfRequest(req)!.ref))));
  });

  // From the moment on at which its results expire this is 410, whether or not they were deleted yet.
  const retention = limits.jobRetention({ unknown: 404 });
  router.get('/jobs/:id/predictions', limits.requestRate(), retention, async (req, res) => {
    const { state, results } = known(await jobs.get(storedJobOfRequest(req)!.ref));
    if (results === undefined) {
      throw new HttpError(400, 'JOB_NOT_COMPLETED', `The job has no predictions: it is ${state}`);
    }
    res.json(results.map(prediction));
  });

  return router;
}

/** In JSON, or in the form's field `json`. */
const urlsIn = (fields: Fields): unknown[] => [
  ...listOf(fields.urls),
  ...listOf(jsonField(fields, 'json').urls),
];

/** The limits know the job; it may be running in another process. */
function known(job: MediaJob | undefined): MediaJob {
  if (job !== undefined) return job;
  throw new HttpError(404, 'JOB_NOT_FOUND', 'There is no such job here');
}

function details(job: JobInfo): object {
  const sources = job.inputs.map(source);
  return {
    type: 'INFERENCE',
    job_id: job.ref.id,
    user_id: job.ref.customer,
    request: {
      files: sources.filter(({ type }) => type === 'file').map(({ type: _type, ...file }) => file),
      urls: job.inputs.flatMap(({ source }) => (source.type === 'url' ? [source.url] : [])),
    },
    state: stateOf(job),
  };
}

function stateOf({ state, createdAt, endedAt, inputs }: JobInfo): object {
  const times = { created_timestamp_ms: createdAt, started_timestamp_ms: createdAt };
  if (state === 'running') return { status: 'IN_PROGRESS', ...times };
  const ended = { ...times, ended_timestamp_ms: endedAt };
  // Hume's jobs can't be cancelled; one that was, as an assembly, has failed by its words.
  if (state === 'cancelled') return { status: 'FAILED', ...ended, message: 'cancelled' };
  return { status: 'COMPLETED', ...ended, num_predictions: inputs.length, num_errors: 0 };
}

const source = ({ source, mime, md5 }: JobInfo['inputs'][number]) =>
  source.type === 'url'
    ? { type: source.type, url: source.url }
    : { type: source.type, filename: source.name, content_type: mime, md5sum: md5 };

const prediction = (report: Report): object => ({
  source: source(report),
  results: {
    predictions: [
      {
        file: report.source.type === 'url' ? report.source.url : report.source.name,
        file_type: report.mime,
        models: {},
        size: report.bytes,
        sha256: report.sha256,
        ...(report.entries === undefined ? {} : { entries: report.entries }),
      },
    ],
    errors: [],
  },
});
