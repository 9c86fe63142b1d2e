import type { ErrorCode } from '../../errors.js';

/** The codes with which an archive is refused, and the HTTP status of each. */
export const archiveStatus = {
  // Not something that is looked into here.
  ARCHIVE_NOT_RECOGNISED: 415,
  ARCHIVE_FORMAT_UNSUPPORTED: 415,
  ARCHIVE_METHOD_UNSUPPORTED: 415,
  ARCHIVE_MULTI_DISK: 415,
  ARCHIVE_ENCRYPTED: 422,
  // Over a limit.
  ARCHIVE_TOO_LARGE: 413,
  ARCHIVE_TOO_MANY_ENTRIES: 413,
  ARCHIVE_UNCOMPRESSED_TOO_LARGE: 413,
  ARCHIVE_ENTRY_TOO_LARGE: 413,
  ARCHIVE_RATIO_TOO_HIGH: 413,
  ARCHIVE_TOO_DEEP: 413,
  ARCHIVE_METADATA_TOO_LARGE: 413,
  ARCHIVE_INSPECTION_TIMEOUT: 413,
  // Not what it says it is.
  ARCHIVE_TRUNCATED: 422,
  ARCHIVE_CORRUPT: 422,
  ARCHIVE_CRC_MISMATCH: 422,
  ARCHIVE_SIZE_MISMATCH: 422,
  ARCHIVE_HEADER_MISMATCH: 422,
  ARCHIVE_COUNT_MISMATCH: 422,
  ARCHIVE_OVERLAP: 422,
  ARCHIVE_AMBIGUOUS: 422,
  ARCHIVE_PREFIX: 422,
  ARCHIVE_TRAILING_DATA: 422,
  ARCHIVE_HIDDEN_DATA: 422,
  // Dangerous to unpack.
  ARCHIVE_PATH_TRAVERSAL: 422,
  ARCHIVE_PATH_ABSOLUTE: 422,
  ARCHIVE_NAME_INVALID: 422,
  ARCHIVE_DUPLICATE_NAME: 422,
  ARCHIVE_LINK: 422,
  ARCHIVE_SPECIAL_FILE: 422,
  ARCHIVE_SPARSE: 422,
  ARCHIVE_INSPECTION_FAILED: 422,
} as const satisfies Partial<Record<ErrorCode, number>>;

export type ArchiveCode = keyof typeof archiveStatus;

/** Which limit was passed, what it allows and, where it is known, what came. */
export interface PassedLimit {
  limit: string;
  allowed: number;
  received?: number;
}

/**
 * Why an archive is refused. Thrown and caught inside this folder only, since a reader finds it deep in its work;
 * outside it is a value.
 */
export class ArchiveRefused extends Error {
  readonly code: ArchiveCode;
  readonly passed: PassedLimit | undefined;
  /** The entry concerned, as the archive writes it; the way through nested archives is put in front as it unwinds. */
  entry: string | undefined;

  constructor(code: ArchiveCode, message: string, entry?: string, passed?: PassedLimit) {
    super(message);
    this.code = code;
    this.entry = entry;
    this.passed = passed;
  }
}

const LONGEST_SHOWN = 200;

/** An entry's name fit for an answer, a log line or a terminal: bounded, and only printable characters. */
export function showName(name: string): string {
  const bounded =
    name.length > LONGEST_SHOWN
      ? `${name.slice(0, LONGEST_SHOWN / 2)}…${name.slice(-LONGEST_SHOWN / 2)}`
      : name;
  return bounded.replace(
    // Controls, lone surrogates, and what reorders or hides text: format and private-use characters, separators.
    /[\p{Cc}\p{Cs}\p{Cf}\p{Co}\p{Cn}\p{Zl}\p{Zp}\\]/gu,
    (character) => `\\u{${(character.codePointAt(0) ?? 0).toString(16)}}`,
  );
}
