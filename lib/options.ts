import { distance } from 'fastest-levenshtein';
import { ConfigError } from './errors.js';
import { parseDuration, parseSize } from './units.js';

/** Checks one option's value and returns it parsed. `option` is the full path for the error message. */
export type Check<T> = (value: unknown, option: string) => T;

/** One check an option. The mapped type makes the compiler refuse a list that misses one. */
export type Checks<T> = { readonly [K in keyof T]-?: Check<T[K]> };

/**
 * Checks all options of a factory: each by its check, and none that isn't known.
 *
 * @param owner Where the options belong, for example `creationRate` or `plans.free.concurrency`.
 * @throws {ConfigError} With the option's full path, what was expected and what came.
 */
export function checkOptions<T extends object>(owner: string, input: unknown, checks: Checks<T>): T {
  if (typeof input !== 'object' || input === null || Array.isArray(input)) {
    throw new ConfigError('CONFIG_INVALID_OPTION', owner, 'an object of options', input);
  }
  for (const [key, value] of Object.entries(input)) {
    if (!Object.hasOwn(checks, key)) throw unknownOption(owner, key, value, Object.keys(checks));
  }
  const parsed: Record<string, unknown> = {};
  for (const [key, check] of Object.entries<Check<unknown>>(checks)) {
    const value = check((input as Record<string, unknown>)[key], `${owner}.${key}`);
    if (value !== undefined) parsed[key] = value;
  }
  return parsed as T;
}

function unknownOption(owner: string, key: string, value: unknown, known: string[]): ConfigError {
  const nearest = known.map((name) => ({ name, far: distance(name.toLowerCase(), key.toLowerCase()) }));
  nearest.sort((a, b) => a.far - b.far);
  const best = nearest[0];
  const hint = best && best.far <= Math.max(2, key.length / 3) ? ` (did you mean '${best.name}'?)` : '';
  const expected = `no such option${hint}; there are ${known.join(', ')}`;
  return new ConfigError('CONFIG_UNKNOWN_OPTION', `${owner}.${key}`, expected, value);
}

/** The option may be left out; it then has no value. */
export const optional =
  <T>(check: Check<T>): Check<T | undefined> =>
  (value, option) =>
    value === undefined ? undefined : check(value, option);

/** The option may be left out; it then has this value. */
export const withDefault =
  <T>(check: Check<T>, fallback: T): Check<T> =>
  (value, option) =>
    value === undefined ? fallback : check(value, option);

const invalid = (option: string, expected: string, value: unknown): ConfigError =>
  new ConfigError(
    value === undefined ? 'CONFIG_MISSING_OPTION' : 'CONFIG_INVALID_OPTION',
    option,
    expected,
    value,
  );

/** A whole number from `min` to `max`. */
export const count =
  ({ min = 0, max = Number.MAX_SAFE_INTEGER }: { min?: number; max?: number } = {}): Check<number> =>
  (value, option) => {
    if (typeof value === 'number' && Number.isSafeInteger(value) && value >= min) {
      if (value <= max) return value;
      throw new ConfigError('CONFIG_LIMIT_TOO_LARGE', option, `a whole number up to ${max}`, value);
    }
    throw invalid(option, `a whole number of at least ${min}`, value);
  };

/** A number above `min` (exclusive), not necessarily whole. */
export const numberAbove =
  (min: number): Check<number> =>
  (value, option) => {
    if (typeof value === 'number' && Number.isFinite(value) && value > min) return value;
    throw invalid(option, `a number above ${min}`, value);
  };

/** A duration in milliseconds, from `min` to `max`. */
export const duration =
  ({ min = 0, max = Infinity }: { min?: number; max?: number } = {}): Check<number> =>
  (value, option) => {
    if (value === undefined) throw invalid(option, "a duration such as '1m'", value);
    const durationMs = parseDuration(value, option);
    if (durationMs >= min && durationMs <= max) return durationMs;
    const bound = durationMs < min ? `at least ${min}` : `at most ${max}`;
    throw new ConfigError('CONFIG_BAD_DURATION', option, `a duration of ${bound} ms`, value);
  };

/** How long a timer waits, in milliseconds. One that waits longer than Node's can fires at once. */
export const timerDuration = ({ min }: { min: number }): Check<number> => duration({ min, max: 2 ** 31 - 1 });

/** A size in bytes. */
export const size: Check<number> = (value, option) => {
  if (value === undefined) throw invalid(option, "a size such as '1gb'", value);
  return parseSize(value, option);
};

/** One of the given strings. */
export const oneOf =
  <const T extends string>(...values: T[]): Check<T> =>
  (value, option) => {
    if (values.includes(value as T)) return value as T;
    throw invalid(option, `one of ${values.map((known) => `'${known}'`).join(', ')}`, value);
  };

/** true or false. */
export const boolean: Check<boolean> = (value, option) => {
  if (typeof value === 'boolean') return value;
  throw invalid(option, 'true or false', value);
};

/** A string that isn't empty. */
export const text: Check<string> = (value, option) => {
  if (typeof value === 'string' && value !== '') return value;
  throw invalid(option, 'a string that is not empty', value);
};

/** A list, each entry checked. */
export const listOf =
  <T>(check: Check<T>): Check<T[]> =>
  (value, option) => {
    if (!Array.isArray(value)) throw invalid(option, 'an array', value);
    return value.map((entry, index) => check(entry, `${option}[${index}]`));
  };

/** A function; its type is the caller's word. */
export const func =
  <T extends (...args: never[]) => unknown>(): Check<T> =>
  (value, option) => {
    if (typeof value === 'function') return value as T;
    throw invalid(option, 'a function', value);
  };

/** An object that has these methods: a store, a clock, a client. */
export const having =
  <T extends object>(what: string, ...methods: (keyof T & string)[]): Check<T> =>
  (value, option) => {
    const missing = methods.filter(
      (name) => typeof (value as Record<string, unknown> | null)?.[name] !== 'function',
    );
    if (value !== null && typeof value === 'object' && missing.length === 0) return value as T;
    throw invalid(option, `${what} (an object with ${methods.join(', ')})`, value);
  };

/** Either of two checks: the first that fits by type of value. */
export const either =
  <A, B>(isFirst: (value: unknown) => boolean, first: Check<A>, second: Check<B>): Check<A | B> =>
  (value, option) =>
    isFirst(value) ? first(value, option) : second(value, option);
