import { Router, type Request } from 'express';
import { storedJobOfRequest, type JobLimits } from 'express-job-limits';
import type { MediaJob } from './ended-jobs.js';
import { HttpError } from './http-error.js';
import { bodyLimits, jsonField, listOf, reportsOf, type Fields, type Report } from './inputs.js';
import type { JobRunner } from './jobs.js';

const states = {
  running: 'ASSEMBLY_EXECUTING',
  completed: 'ASSEMBLY_COMPLETED',
  cancelled: 'ASSEMBLY_CANCELED',
};

/** Jobs in the shape of Transloadit's assemblies. */
export function assemblies(limits: JobLimits, jobs: JobRunner): Router {
  const router = Router();

  const admitted = limits.admission();
  // Transloadit's clients may choose the id. One that asks again, because the answer was lost, gets the same assembly.
  const admittedById = limits.admission({
    jobId: (req) => req.params.id as string,
    onReplay: async (job, req, res) => res.json(assembly(known(await jobs.get(job.ref)), req)),
  });

  // Admission comes first: a customer at its limit can't make the server read its files.
  router.post(['/assemblies', '/assemblies/:id'], (req, res, next) =>
    (req.params.id === undefined ? admitted : admittedById)(req, res, next),
  );
  router.post(['/assemblies', '/assemblies/:id'], ...bodyLimits(limits, urlsIn), async (req, res) => {
    refuseTus(req.body as Fields | undefined);
    const reports = await reportsOf(req);
    const job = await limits.job(req).commit((ref) => jobs.start(ref, reports));
    res.json(assembly(job, req));
  });

  // An assembly can be read for as long as anything is known of it; its results are in it for as long as they are kept.
  const retention = limits.jobRetention({ of: 'metadata', unknown: 404 });

  router.get('/assemblies/:id', limits.requestRate(), retention, async (req, res) => {
    res.json(assembly(known(await jobs.get(storedJobOfRequest(req)!.ref)), req));
  });

  router.delete('/assemblies/:id', retention, async (req, res) => {
    res.json(assembly(known(await jobs.cancel(storedJobOfRequest(req)!.ref)), req));
  });

  return router;
}

function refuseTus(fields: Fields = {}): void {
  if (Number(fields.tus_num_expected_upload_files ?? 0) === 0) return;
  throw new HttpError(400, 'TUS_NOT_OFFERED', 'This example takes files in the form, not by tus');
}

/**
 * The URLs that the steps in `params` import, `{ "steps": { "imported": { "robot": "/http/import", "url": … } } }`, and
 * those of the field `urls`.
 */
function urlsIn(fields: Fields): unknown[] {
  const { steps } = jsonField(fields, 'params');
  const imports = Object.values((steps ?? {}) as Record<string, { robot?: unknown; url?: unknown } | null>)
    .filter((step) => step?.robot === '/http/import')
    .flatMap((step) => listOf(step?.url));
  return [...listOf(fields.urls), ...imports];
}

/** The limits know the job; it may be running in another process. */
function known(job: MediaJob | undefined): MediaJob {
  if (job !== undefined) return job;
  throw new HttpError(404, 'JOB_NOT_FOUND', 'There is no such job here');
}

function assembly({ ref, state, createdAt, endedAt, inputs, results }: MediaJob, req: Request): object {
  const url = `${req.protocol}://${req.get('host')}${req.baseUrl}/assemblies/${encodeURIComponent(ref.id)}`;
  return {
    ok: states[state],
    assembly_id: ref.id,
    assembly_url: url,
    assembly_ssl_url: url,
    start_date: new Date(createdAt).toISOString(),
    num_input_files: inputs.length,
    bytes_received: inputs.reduce((sum, { bytes }) => sum + bytes, 0),
    execution_duration: endedAt === undefined ? null : (endedAt - createdAt) / 1000,
    results: results === undefined ? {} : { ':original': results.map(result) },
  };
}

const result = ({ source, bytes, sha256, md5, mime, entries }: Report, index: number): object => ({
  id: String(index),
  name: source.type === 'file' ? source.name : source.url,
  field: source.type === 'file' ? source.field : null,
  size: bytes,
  mime,
  md5hash: md5,
  meta: { sha256, ...(entries === undefined ? {} : { entries }) },
});
