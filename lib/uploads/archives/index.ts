import { randomUUID } from 'node:crypto';
import { mkdir, readdir, rm, stat, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkOptions } from '../../options.js';
import type { ArchiveOutcome } from './inspect.js';
import { archiveLimitChecks, type ArchiveLimits, type ParsedArchiveLimits } from './limits.js';
import { inspectInWorker, type PoolReply } from './pool.js';

export type { ArchiveAccepted, ArchiveOutcome, ArchiveRejected } from './inspect.js';
export type { ArchiveFormat, ArchiveLimits, ParsedArchiveLimits } from './limits.js';
export { archiveLimitChecks } from './limits.js';
export { closeArchiveWorkers } from './pool.js';
export { archiveStatus, type ArchiveCode } from './refused.js';

/** A buffer larger than this goes to the worker through a temporary file, so that it isn't in memory twice. */
const COPY_BYTES = 8 * 1024 * 1024;

const FOLDER_PREFIX = 'express-job-limits-archive-';
const DAY_MS = 86_400_000;

/**
 * Inspects an archive: decodes all of it, that of nested ones too, under limits of bytes, number, time and memory, in a
 * worker thread. Hostile content is never an error: the outcome says `ok: false` with a code.
 *
 * @param archive A path, or the archive's bytes.
 * @throws {ConfigError} For wrong limits.
 * @throws The file system's error, where the file can't be read.
 *
 * @example
 * const outcome = await inspectArchive('/tmp/upload-1', { maxEntries: 500 });
 * if (!outcome.ok) console.log(outcome.code, outcome.entry); // ARCHIVE_PATH_TRAVERSAL ../../etc/passwd
 */
export async function inspectArchive(
  archive: string | Uint8Array,
  limits: ArchiveLimits = {},
): Promise<ArchiveOutcome> {
  return inspectParsed(archive, checkOptions('inspectArchive', limits, archiveLimitChecks));
}

/** The same with limits that are checked already. */
export async function inspectParsed(
  archive: string | Uint8Array,
  limits: ParsedArchiveLimits,
): Promise<ArchiveOutcome> {
  leftoversGone ??= removeLeftovers();
  const folder = join(tmpdir(), FOLDER_PREFIX + randomUUID());
  try {
    const request = await toRequest(archive, folder);
    return outcomeOf(await inspectInWorker({ archive: request, limits, folder }), limits);
  } finally {
    await rm(folder, { recursive: true, force: true });
  }
}

async function toRequest(
  archive: string | Uint8Array,
  folder: string,
): Promise<{ path: string } | { bytes: Uint8Array }> {
  if (typeof archive === 'string') return { path: archive };
  // A plain copy: of a part of a larger buffer the whole would be sent.
  if (archive.length <= COPY_BYTES) return { bytes: Uint8Array.from(archive) };
  await mkdir(folder, { mode: 0o700 });
  const path = join(folder, 'archive');
  await writeFile(path, archive, { mode: 0o600 });
  return { path };
}

function outcomeOf(reply: PoolReply, limits: ParsedArchiveLimits): ArchiveOutcome {
  if ('outcome' in reply) return reply.outcome;
  if ('fileError' in reply) {
    const { code, message } = reply.fileError;
    throw Object.assign(new Error(message), { code });
  }
  if ('timedOut' in reply) {
    const message = 'the archive takes too long to inspect';
    return {
      ok: false,
      code: 'ARCHIVE_INSPECTION_TIMEOUT',
      message,
      limit: 'max-inspect',
      allowed: limits.maxInspect / 1000,
    };
  }
  // What could not be inspected is not let through, whoever is to blame.
  return {
    ok: false,
    code: 'ARCHIVE_INSPECTION_FAILED',
    message: `the archive could not be inspected: ${reply.failure}`,
  };
}

let leftoversGone: Promise<void> | undefined;

/** Removes what processes left behind that were killed in the middle of an inspection. */
async function removeLeftovers(): Promise<void> {
  try {
    for (const name of await readdir(tmpdir())) {
      if (!name.startsWith(FOLDER_PREFIX)) continue;
      const path = join(tmpdir(), name);
      if (Date.now() - (await stat(path)).mtimeMs > DAY_MS) await rm(path, { recursive: true, force: true });
    }
  } catch {
    // Another process may remove the same ones; nothing hangs on it.
  }
}
