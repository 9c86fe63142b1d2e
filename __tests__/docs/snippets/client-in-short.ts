// #region send
import { retrying } from 'express-job-limits/client';

const api = retrying(fetch, { idempotency: true });

export const createJob = (url: string, job: object): Promise<Response> =>
  api(url, {
    method: 'POST',
    headers: { 'Content-Type': 'application/json' },
    body: JSON.stringify(job),
  });
// #endregion
