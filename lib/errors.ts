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
  'COST_FAILED',
  'COST_INVALID',
  'JOB_ID_FAILED',
  'JOB_ID_INVALID',
  'FINGERPRINT_FAILED',
  'FINGERPRINT_INVALID',
  'NO_ADMISSION',
  'NO_GUARD',
  'JOB_NOT_COMMITTED',
  'JOB_REF_INVALID',
  'JOB_STATE_INVALID',
  'JOB_UNITS_INVALID',
  'JOB_DATE_INVALID',
  'JOB_REASON_INVALID',
  'JOB_ID_MISSING',
  'JOB_ENDED',
  'EXPIRY_TIMEOUT',
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
  'JOB_EXPIRED',
  'JOB_NOT_FOUND',
  'IDEMPOTENCY_KEY_MISSING',
  'IDEMPOTENCY_KEY_INVALID',
  'IDEMPOTENCY_KEY_REUSED',
  // Answered to clients about what their body holds, or passed on while it is read.
  'FILE_TOO_LARGE',
  'REQUEST_TOO_LARGE',
  'TOO_MANY_FILES',
  'TOO_MANY_FIELDS',
  'FIELDS_TOO_LARGE',
  'FORM_PREFIX_TOO_LARGE',
  'UNSUPPORTED_TYPE',
  'UNSUPPORTED_ENCODING',
  'MALFORMED_BODY',
  'UPLOAD_TIMEOUT',
  'UPLOAD_ABORTED',
  'UPLOAD_FAILED',
  'BODY_ALREADY_READ',
  'TOO_MANY_URLS',
  'URL_INVALID',
  'URL_SCHEME',
  'URL_CREDENTIALS',
  'PRIVATE_ADDRESS',
  'DUPLICATE_URL',
  // Answered to clients: what an uploaded archive is refused for.
  'ARCHIVE_NOT_RECOGNISED',
  'ARCHIVE_FORMAT_UNSUPPORTED',
  'ARCHIVE_METHOD_UNSUPPORTED',
  'ARCHIVE_MULTI_DISK',
  'ARCHIVE_ENCRYPTED',
  'ARCHIVE_TOO_LARGE',
  'ARCHIVE_TOO_MANY_ENTRIES',
  'ARCHIVE_UNCOMPRESSED_TOO_LARGE',
  'ARCHIVE_ENTRY_TOO_LARGE',
  'ARCHIVE_RATIO_TOO_HIGH',
  'ARCHIVE_TOO_DEEP',
  'ARCHIVE_METADATA_TOO_LARGE',
  'ARCHIVE_INSPECTION_TIMEOUT',
  'ARCHIVE_TRUNCATED',
  'ARCHIVE_CORRUPT',
  'ARCHIVE_CRC_MISMATCH',
  'ARCHIVE_SIZE_MISMATCH',
  'ARCHIVE_HEADER_MISMATCH',
  'ARCHIVE_COUNT_MISMATCH',
  'ARCHIVE_OVERLAP',
  'ARCHIVE_AMBIGUOUS',
  'ARCHIVE_PREFIX',
  'ARCHIVE_TRAILING_DATA',
  'ARCHIVE_HIDDEN_DATA',
  'ARCHIVE_PATH_TRAVERSAL',
  'ARCHIVE_PATH_ABSOLUTE',
  'ARCHIVE_NAME_INVALID',
  'ARCHIVE_DUPLICATE_NAME',
  'ARCHIVE_LINK',
  'ARCHIVE_SPECIAL_FILE',
  'ARCHIVE_SPARSE',
  'ARCHIVE_INSPECTION_FAILED',
  // The high-frequency guard: answered to clients.
  'HIGH_FREQUENCY',
  'CLIENT_BANNED',
  // Passed to Express's error handler, where the option `client` fails.
  'CLIENT_FAILED',
  'CLIENT_INVALID',
  // Reported as warnings.
  'OVERRIDE_INVALID',
  // Reported once each as warnings.
  'CLIENT_UNKNOWN',
  'FORWARDED_NOT_TRUSTED',
  'FORWARDED_FROM_ANYONE',
  'FORWARDED_NOT_READ',
  'GUARD_ATTACHED_LATE',
  'GUARD_TABLE_FULL',
  'GUARD_BAN_NOT_SHARED',
  'GUARD_IS_ERROR_FAILED',
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
