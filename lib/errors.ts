/**
 * Every code that an error or a refusal of this package can carry, with the place that documents it.
 * Match on the code, never on the message: messages may be improved in any release.
 */
export const errorCodes = [
  // Thrown when a middleware or store is made.
  'CONFIG_UNKNOWN_OPTION',
  'CONFIG_MISSING_OPTION',
  'CONFIG_INVALID_OPTION',
  'CONFIG_BAD_DURATION',
  'CONFIG_BAD_SIZE',
  'CONFIG_LIMIT_TOO_LARGE',
  'CONFIG_DUPLICATE_NAME',
  // Passed to Express's error handler while a request is served.
  'CUSTOMER_MISSING',
  'CUSTOMER_FAILED',
  'CUSTOMER_INVALID',
  'PLAN_UNKNOWN',
  'PLAN_FAILED',
  'PLAN_INVALID',
  'LIMIT_KEY_INVALID',
  'JOB_ID_FAILED',
  'JOB_ID_INVALID',
  'NO_ADMISSION',
  'JOB_NOT_COMMITTED',
  'JOB_REF_INVALID',
  'JOB_STATE_INVALID',
  'RESPONSE_FAILED',
  // Thrown by stores; the first is answered to clients too.
  'STORE_UNAVAILABLE',
  'STORE_FULL',
  'STORE_CLOSED',
  // Thrown by RedisStore.
  'STORE_LAYOUT_MISMATCH',
  // Answered to clients.
  'RATE_LIMIT_REACHED',
  'QUOTA_EXCEEDED',
  'LIMIT_BLOCKED',
  'JOB_EXISTS',
  'JOB_IN_PROGRESS',
] as const;

export type ErrorCode = (typeof errorCodes)[number];

const docsOf = (code: ErrorCode): string =>
  `express-job-limits/docs/reference/errors.md#${code.toLowerCase()}`;

/** What every error of this package has in common: a stable `code` and where it is documented. */
export class JobLimitsError extends Error {
  readonly code: ErrorCode;
  /** The file and heading, inside the installed package, that explain this code. */
  readonly docs: string;

  constructor(code: ErrorCode, message: string, options?: { cause?: unknown }) {
    super(`${message} (${code}, see ${docsOf(code)})`, options);
    this.name = new.target.name;
    this.code = code;
    this.docs = docsOf(code);
  }
}

/** A wrong option. Thrown while the middleware, plan or store is made, never while a request is served. */
export class ConfigError extends JobLimitsError {
  /** The option's full path, for example `plans.free.creationRate.window`. */
  readonly option: string;
  /** What would have been right, in words. */
  readonly expected: string;
  /** What was given instead. */
  readonly received: unknown;

  constructor(code: ErrorCode, option: string, expected: string, received: unknown) {
    super(code, `${option}: expected ${expected}, received ${describe(received)}`);
    this.option = option;
    this.expected = expected;
    this.received = received;
  }
}

/**
 * A request that can't be decided: nobody to charge, no such plan, an id that is too long. Goes to Express's error
 * handler, which answers with `status`; nothing was charged.
 */
export class RequestError extends JobLimitsError {
  /** The HTTP status that Express's own error handler answers with. */
  readonly status: number;

  constructor(code: ErrorCode, status: number, message: string, options?: { cause?: unknown }) {
    super(code, message, options);
    this.status = status;
  }
}

/** The store could not be asked, or could not take more. What then happens to the request is `onStoreError`. */
export class StoreError extends JobLimitsError {}

/** Names a value and its type for an error message, bounded in length and never throwing. */
export function describe(value: unknown): string {
  if (value === undefined) return 'nothing';
  if (value === null) return 'null';
  if (typeof value === 'string') return `${JSON.stringify(short(value))} (string)`;
  if (typeof value === 'function') return `a function`;
  if (Array.isArray(value)) return `an array of ${value.length}`;
  if (typeof value === 'object') return `an object with ${short(Object.keys(value).join(', ')) || 'no keys'}`;
  return `${(value as number | boolean | bigint | symbol).toString()} (${typeof value})`;
}

const short = (text: string): string => (text.length > 60 ? `${text.slice(0, 57)}...` : text);
