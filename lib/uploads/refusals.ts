import bytes from 'bytes';
import type { Refusal } from '../decision.js';
import type { ErrorCode } from '../errors.js';

/**
 * A refusal by what the body holds. It carries no wait: the same body would be refused again.
 *
 * @param limit The option that refuses, as `max-file` for `maxFile`; of an option that is called `limit` the middleware.
 */
function bodyRefusal(
  status: number,
  code: ErrorCode,
  message: string,
  info?: Record<string, unknown>,
  limit?: string,
): Refusal {
  return {
    allowed: false,
    status,
    code,
    message,
    violated: limit === undefined ? [] : [limit],
    ...(limit === undefined ? {} : { limit }),
    ...(info === undefined ? {} : { info }),
  };
}

const inWords = (size: number): string => bytes.format(size, { unitSeparator: ' ' }) ?? `${size} B`;

/** The file that a refusal is about, as its client named it. */
export interface NamedFile {
  fieldname: string;
  originalname: string;
}

/** @param received How much came or was announced. Missing when reading stopped at the limit. */
export function fileTooLarge(allowed: number, received?: number, file?: NamedFile): Refusal {
  const what = file === undefined ? 'The body' : `The file '${short(file.originalname)}'`;
  const info = {
    allowed,
    ...(received === undefined ? {} : { received }),
    ...(file === undefined ? {} : { field: short(file.fieldname), file: short(file.originalname) }),
  };
  return bodyRefusal(413, 'FILE_TOO_LARGE', `${what} has more than ${inWords(allowed)}.`, info, 'max-file');
}

export function requestTooLarge(allowed: number, received?: number): Refusal {
  const info = { allowed, ...(received === undefined ? {} : { received }) };
  const message = `The request has more than ${inWords(allowed)}.`;
  return bodyRefusal(413, 'REQUEST_TOO_LARGE', message, info, 'max-request');
}

export function tooManyFiles(allowed: number): Refusal {
  return bodyRefusal(
    413,
    'TOO_MANY_FILES',
    `The form has more than ${allowed} files.`,
    { allowed },
    'max-files',
  );
}

export function tooManyFields(allowed: number): Refusal {
  return bodyRefusal(
    413,
    'TOO_MANY_FIELDS',
    `The form has more than ${allowed} fields.`,
    { allowed },
    'max-fields',
  );
}

export function fieldsTooLarge(allowed: number): Refusal {
  const message = `The form's fields have more than ${inWords(allowed)} together.`;
  return bodyRefusal(413, 'FIELDS_TOO_LARGE', message, { allowed }, 'max-field-bytes');
}

export function unsupportedType(allowed: string[], received: string, file?: NamedFile): Refusal {
  const message = `Files of type '${short(received)}' are not accepted.`;
  const info = {
    allowed,
    received: short(received),
    ...(file === undefined ? {} : { field: short(file.fieldname), file: short(file.originalname) }),
  };
  return bodyRefusal(415, 'UNSUPPORTED_TYPE', message, info, 'types');
}

export function unsupportedEncoding(allowed: string[], received: string): Refusal {
  const message = `A body with Content-Encoding '${short(received)}' is not accepted.`;
  return bodyRefusal(415, 'UNSUPPORTED_ENCODING', message, { allowed, received: short(received) });
}

export function malformedBody(why: string): Refusal {
  return bodyRefusal(400, 'MALFORMED_BODY', `The body can't be read: ${short(why)}.`);
}

export function uploadTimeout(idleMs: number): Refusal {
  const message = `Nothing of the body came for ${idleMs / 1000} s.`;
  return bodyRefusal(408, 'UPLOAD_TIMEOUT', message, { allowed: idleMs / 1000 }, 'idle-timeout');
}

export function uploadAborted(): Refusal {
  return bodyRefusal(400, 'UPLOAD_ABORTED', 'The client went away before its body had arrived.');
}

export function tooManyUrls(allowed: number, received: number): Refusal {
  const message =
    `${received} URLs were given and ${allowed} are allowed: ` +
    `put the files into an archive, or send them in batches of at most ${allowed}.`;
  return bodyRefusal(413, 'TOO_MANY_URLS', message, { allowed, received }, 'url-count');
}

/** Why one URL of the list is refused. */
export interface BadUrl {
  code: ErrorCode;
  /** What follows `URL 3` in a sentence. */
  why: string;
  /** Its place in the list, from 0. */
  index: number;
  /** As it is repeated to the client: without its user and password. */
  url?: string | undefined;
  /** The option that refuses it; missing for what no option allows. */
  limit?: string;
}

export function badUrl({ code, why, index, url, limit }: BadUrl): Refusal {
  const info = { index, ...(url === undefined ? {} : { url: short(url, 200) }) };
  return bodyRefusal(422, code, `URL ${index + 1} ${why}.`, info, limit);
}

const short = (text: string, length = 100): string =>
  text.length > length ? `${text.slice(0, length - 3)}...` : text;
