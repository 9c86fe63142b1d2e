import { readdirSync, readFileSync, rmSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { checkOptions } from '../../lib/options.js';
import { inspectSource, type ArchiveOutcome } from '../../lib/uploads/archives/inspect.js';
import { archiveLimitChecks, type ArchiveLimits } from '../../lib/uploads/archives/limits.js';
import { bufferSource } from '../../lib/uploads/archives/source.js';

export const fixtures = join(__dirname, '..', 'fixtures', 'archives');

export const fixture = (name: string): Buffer => readFileSync(join(fixtures, name));

/** The archives that other programs made, without what makes them. */
export const fixtureNames = (): string[] =>
  readdirSync(fixtures).filter((name) => !name.startsWith('.') && !/\.(sh|py|java)$/.test(name));

const folder = join(tmpdir(), `express-job-limits-test-${process.pid}`);

/** Inspects in this thread: the readers alone, without worker. */
export async function inspect(bytes: Buffer, limits: ArchiveLimits = {}): Promise<ArchiveOutcome> {
  try {
    return await inspectSource(bufferSource(bytes), {
      limits: checkOptions('inspect', limits, archiveLimitChecks),
      folder,
      now: () => performance.now(),
    });
  } finally {
    rmSync(folder, { recursive: true, force: true });
  }
}

/** The code of a refusal, or `ok`. */
export async function codeOf(bytes: Buffer, limits: ArchiveLimits = {}): Promise<string> {
  const outcome = await inspect(bytes, limits);
  return outcome.ok ? 'ok' : outcome.code;
}
