import { ConfigError } from '../errors.js';
import { checkOptions, duration, optional, type Check } from '../options.js';
import type { Retention, RetentionTimes } from '../stores/store.js';
import type { Duration } from '../units.js';

/** How long what a job leaves behind is kept, counted from its end. */
export interface RetentionDurations {
  /** What the job made: files, transcripts. */
  results: Duration;
  /** What is known of the job: its status, its times. At least `results`. @default `results` */
  metadata?: Duration;
}

/** How long jobs are kept after their end. A plan's `jobRetention`. */
export interface RetentionOptions extends RetentionDurations {
  /** For jobs that end `failed` or `overrun`. @default as the others */
  failed?: RetentionDurations;
  /** How long before the results expire that is announced; at most `results`. @default never */
  notice?: Duration;
}

const timesChecks = { results: duration(), metadata: optional(duration()) };

/**
 * Durations as a store takes them.
 *
 * @throws {ConfigError}
 */
export const retentionTimes: Check<RetentionTimes> = (value, option) =>
  timesOf(checkOptions(option, value, timesChecks), option);

function timesOf(
  { results, metadata = results }: { results: number; metadata?: number | undefined },
  option: string,
): RetentionTimes {
  if (metadata >= results) return { resultsMs: results, metadataMs: metadata };
  const expected = 'a duration at least as long as `results`, which could not be found without';
  throw new ConfigError('CONFIG_BAD_DURATION', `${option}.metadata`, expected, metadata);
}

export const checkRetention: Check<Retention> = (value, path) => {
  const { failed, notice, ...durations } = checkOptions(path, value, {
    ...timesChecks,
    failed: optional(retentionTimes),
    notice: optional(duration({ min: 1 })),
  });
  const retention: Retention = timesOf(durations, path);
  if (failed !== undefined) retention.failed = failed;
  if (notice !== undefined) {
    if (notice > retention.resultsMs) {
      throw new ConfigError(
        'CONFIG_BAD_DURATION',
        `${path}.notice`,
        'a duration not longer than `results`',
        notice,
      );
    }
    retention.noticeMs = notice;
  }
  return retention;
};
