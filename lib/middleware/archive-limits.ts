import { unlink } from 'node:fs/promises';
import type { Request, RequestHandler } from 'express';
import { systemClock } from '../clock.js';
import type { Refusal } from '../decision.js';
import { answerChecks, answerSettings, type AnswerOptions } from '../http/answers.js';
import { sendRefusal } from '../http/send-refusal.js';
import { boolean, checkOptions, func, oneOf, optional, withDefault } from '../options.js';
import {
  archiveLimitChecks,
  archiveStatus,
  inspectParsed,
  type ArchiveAccepted,
  type ArchiveLimits,
  type ArchiveRejected,
  type ParsedArchiveLimits,
} from '../uploads/archives/index.js';

/** What `archiveLimits` does beside the limits themselves. */
export interface ArchiveHandling extends AnswerOptions {
  /**
   * What becomes of an upload that is no archive: passed on, since most APIs take other files too, or refused with
   * `ARCHIVE_NOT_RECOGNISED`. One that calls itself an archive, by its name or type, is refused in any case.
   * @default 'pass'
   */
  others?: 'pass' | 'refuse';
  /** Whether the files of a refused request are removed from the disk, as no handler will see them. @default true */
  removeRefused?: boolean;
  /** Requests for which nothing is inspected. @default none */
  skip?: (req: Request) => boolean;
}

export interface ArchiveLimitsOptions extends ArchiveLimits, ArchiveHandling {}

/** The limits of one request, checked already; `undefined` where the customer's plan has none. */
export type ArchiveLimitsFor = (
  req: Request,
) => ParsedArchiveLimits | undefined | Promise<ParsedArchiveLimits | undefined>;

/** An upload that was inspected and kept the limits. */
export interface InspectedArchive extends ArchiveAccepted {
  /** The place of its file among the request's files, from 0. */
  index: number;
  /** The form's field, or `body` for a raw body. */
  field: string;
  /** What the client calls the file; never to be trusted as a path. */
  originalName: string | undefined;
}

/** The checks of `ArchiveHandling`, for where the limits come from elsewhere. */
export const archiveHandlingChecks = {
  ...answerChecks,
  others: withDefault(oneOf('pass', 'refuse'), 'pass'),
  removeRefused: withDefault(boolean, true),
  skip: optional(func<(req: Request) => boolean>()),
};

export type CheckedArchiveHandling = {
  [K in keyof typeof archiveHandlingChecks]: ReturnType<(typeof archiveHandlingChecks)[K]>;
};

/**
 * Inspects uploaded archives before the handler sees them: sizes, number of entries, compression ratio, nesting, and
 * every known way in which an archive deceives. It reads nothing from the request itself: mount it after what puts the
 * files into `req.file` or `req.files` (`fileSize`, multer), or the raw body into `req.body` as a Buffer.
 *
 * @throws {ConfigError} For wrong options.
 *
 * @example
 * app.post('/jobs', upload.single('input'), archiveLimits({ maxEntries: 500, maxUncompressed: '2gb' }), (req, res) => {
 *   res.status(201).json({ archives: archivesOf(req) });
 * });
 */
export function archiveLimits(options: ArchiveLimitsOptions = {}): RequestHandler {
  const checked = checkOptions('archiveLimits', options, { ...archiveLimitChecks, ...archiveHandlingChecks });
  return archiveLimitsOf(() => checked, checked);
}

/** The middleware with limits that are looked up for each request. */
export function archiveLimitsOf(
  limitsOf: ArchiveLimitsFor,
  checked: CheckedArchiveHandling,
  inherited: AnswerOptions = {},
): RequestHandler {
  const answers = answerSettings(checked as AnswerOptions, inherited);
  return function archiveLimits_(req, res, next) {
    if (checked.skip?.(req)) {
      next();
      return;
    }
    inspectUploads(req, limitsOf, checked).then((refusal) => {
      if (refusal === undefined) next();
      else sendRefusal(refusal, answers, systemClock, req, res, next);
    }, next);
  };
}

const inspected = new WeakMap<Request, InspectedArchive[]>();

/** The archives of a request that passed `archiveLimits`, in the order of the files. Empty where there are none. */
export const archivesOf = (req: Request): readonly InspectedArchive[] => inspected.get(req) ?? [];

/** As multer and `fileSize` describe a file, as far as it matters here. */
interface Upload {
  fieldname?: string;
  originalname?: string;
  mimetype?: string;
  path?: string;
  buffer?: Uint8Array;
}

interface Uploads {
  file?: Upload;
  files?: Upload[] | Record<string, Upload[]>;
  body?: unknown;
}

async function inspectUploads(
  req: Request,
  limitsOf: ArchiveLimitsFor,
  { others, removeRefused }: CheckedArchiveHandling,
): Promise<Refusal | undefined> {
  const limits = await limitsOf(req);
  if (limits === undefined) return undefined;
  const uploads = uploadsOf(req);
  const accepted: InspectedArchive[] = [];
  for (const [index, upload] of uploads.entries()) {
    const content = upload.path ?? upload.buffer;
    if (content === undefined) continue;
    const outcome = await inspectParsed(content, limits);
    const field = upload.fieldname ?? 'body';
    if (outcome.ok) {
      accepted.push({ ...outcome, index, field, originalName: upload.originalname });
      continue;
    }
    if (outcome.code === 'ARCHIVE_NOT_RECOGNISED' && others !== 'refuse' && !callsItselfArchive(upload))
      continue;
    if (removeRefused) await removeFiles(uploads);
    return toRefusal(outcome, field);
  }
  inspected.set(req, accepted);
  return undefined;
}

function uploadsOf(req: Request): Upload[] {
  const { file, files = [], body } = req as unknown as Uploads;
  const uploads = [...(file === undefined ? [] : [file]), ...Object.values<Upload | Upload[]>(files).flat()];
  if (body instanceof Uint8Array) uploads.push({ buffer: body, mimetype: req.headers['content-type'] ?? '' });
  return uploads;
}

/** Whoever unpacks by name or type would open it, and perhaps find an archive where we saw none. */
function callsItselfArchive({ originalname = '', mimetype = '' }: Upload): boolean {
  return (
    /\.(zip|zipx|jar|tar|tgz|gz|bz2|tbz2?|xz|txz|zst|tzst|7z|rar)$/i.test(originalname) ||
    /^application\/(x-)?(zip|zip-compressed|tar|gtar|gzip|bzip2|xz|zstd|7z-compressed|rar(-compressed)?|vnd\.rar)\b/i.test(
      mimetype,
    )
  );
}

async function removeFiles(uploads: Upload[]): Promise<void> {
  const paths = uploads.flatMap(({ path }) => (path === undefined ? [] : [path]));
  // One that is gone already is as removed as the others.
  await Promise.all(paths.map((path) => unlink(path).catch(() => undefined)));
}

function toRefusal(
  { code, message, entry, limit, allowed, received }: ArchiveRejected,
  field: string,
): Refusal {
  return {
    allowed: false,
    code,
    message: `${message.slice(0, 1).toUpperCase()}${message.slice(1)}.`,
    status: archiveStatus[code],
    ...(limit === undefined ? {} : { limit }),
    violated: limit === undefined ? [] : [limit],
    info: {
      field,
      ...(entry === undefined ? {} : { entry }),
      ...(allowed === undefined ? {} : { allowed }),
      ...(received === undefined ? {} : { received }),
    },
  };
}
