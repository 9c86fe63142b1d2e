import bytes from 'bytes';
import ms from 'ms';
import { ConfigError } from './errors.js';

/** A length of time: a number of milliseconds, or a string of the `ms` package such as `'90s'`, `'1m'` or `'8h'`. */
export type Duration = number | string;

/** An amount of bytes: a number, or a string of the `bytes` package such as `'500kb'` or `'1gb'` (powers of 1024). */
export type Size = number | string;

/** A month of timers: past 2^31 - 1 ms Node's timers fire at once. Longer durations are fine where no timer waits. */
const LONGEST_DURATION_MS = 100 * 365.25 * 24 * 3_600_000;

/**
 * A duration in milliseconds.
 *
 * @throws {ConfigError} `CONFIG_BAD_DURATION` when it isn't one, is negative or is longer than a hundred years.
 */
export function parseDuration(value: unknown, option: string): number {
  // `ms` reads '100' as milliseconds and '' as an error; a bare number in a string is a slip more often than a wish.
  const parsed = typeof value === 'string' && /[a-z]\s*$/i.test(value) ? ms(value as ms.StringValue) : value;
  if (typeof parsed !== 'number' || !Number.isFinite(parsed) || parsed < 0 || parsed > LONGEST_DURATION_MS) {
    throw new ConfigError(
      'CONFIG_BAD_DURATION',
      option,
      "a duration: milliseconds as a number, or a string with a unit such as '90s', '1m' or '8h'",
      value,
    );
  }
  return Math.round(parsed);
}

/**
 * A size in bytes.
 *
 * @throws {ConfigError} `CONFIG_BAD_SIZE` when it isn't one, is negative or is not a safe integer.
 */
export function parseSize(value: unknown, option: string): number {
  // `bytes` reads '10gib' as ten bytes.
  const isSize = typeof value === 'string' && /^\s*[\d.]+\s*[kmgtp]?b\s*$/i.test(value);
  const parsed = isSize ? bytes.parse(value) : value;
  if (typeof parsed !== 'number' || !Number.isSafeInteger(parsed) || parsed < 0) {
    throw new ConfigError(
      'CONFIG_BAD_SIZE',
      option,
      "a size: whole bytes as a number, or a string with a unit such as '500kb' or '1gb'",
      value,
    );
  }
  return parsed;
}
