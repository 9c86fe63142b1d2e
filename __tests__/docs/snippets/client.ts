// #region create
import { retrying, LimitError } from 'express-job-limits/client';

const api = retrying(fetch, { idempotency: true });

export async function createJob(url: string, job: object): Promise<string> {
  try {
    const response = await api(url, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: JSON.stringify(job),
    });
    return response.ok ? `created ${await response.text()}` : `failed with status ${response.status}`;
  } catch (error) {
    if (!(error instanceof LimitError)) throw error;
    return `refused by ${error.limit ?? error.code}, try again at ${error.retryAt?.toISOString()}`;
  }
}
// #endregion

import { openAsBlob } from 'node:fs';

export async function sendFile(url: string, path: string): Promise<void> {
  // #region stream
  const file = await openAsBlob(path);
  await api(url, { method: 'POST', body: () => file.stream() });
  // #endregion
}

export async function sendAll(url: string, allUrls: string[]): Promise<void> {
  // #region batches
  for (const urls of inBatches(allUrls, 100)) {
    await api(url, { method: 'POST', body: JSON.stringify({ urls }) });
  }
  // #endregion
}

import { inBatches } from 'express-job-limits/client';
