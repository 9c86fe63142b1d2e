import { tmpdir } from 'node:os';
import type { NextFunction, Request, RequestHandler, Response } from 'express';
import { systemClock } from '../clock.js';
import type { Refusal } from '../decision.js';
import { RequestError } from '../errors.js';
import { answerChecks, answerSettings, type AnswerOptions, type AnswerSettings } from '../http/answers.js';
import { sendRefusal } from '../http/send-refusal.js';
import {
  boolean,
  checkOptions,
  duration,
  func,
  having,
  oneOf,
  optional,
  text,
  withDefault,
} from '../options.js';
import type { Duration } from '../units.js';
import { bodyOf, isMultipart } from '../uploads/body.js';
import { BodyTap, knownEncodings } from '../uploads/body-tap.js';
import {
  fileSizeLimitChecks,
  type CheckedFileSizeLimits,
  type FileSizeLimits,
} from '../uploads/body-limits.js';
import { FormReader, type Form } from '../uploads/form.js';
import {
  fileTooLarge,
  requestTooLarge,
  unsupportedEncoding,
  unsupportedType,
  uploadAborted,
} from '../uploads/refusals.js';
import { removeWhenAnswered } from '../uploads/removal.js';
import { TempStorage, type UploadedFile, type UploadStorage } from '../uploads/storage.js';
import { isAccepted, isData, mediaType } from '../uploads/types.js';

/** How `fileSize` does its work, whatever the limits are. */
export interface FileSizeHandling extends AnswerOptions {
  /** An upload of which less than 1 KiB came for so long is ended with 408. @default '30s' */
  idleTimeout?: Duration;
  /** Whether multipart forms are parsed. If not, only `maxRequest` counts for them and another parser must follow. @default true */
  parse?: boolean;
  /** `array`: `req.files` is a list. `fields`: it is an object of lists, by field name. @default 'array' */
  files?: 'array' | 'fields';
  /** The directory in which files are kept until the response has ended. @default os.tmpdir() */
  tempDir?: string;
  /** Takes the files instead of `tempDir`: an engine made for multer. What it stored is the app's to remove. */
  storage?: UploadStorage;
  /** Requests to leave alone. @default none */
  skip?: (req: Request) => boolean;
}

export interface FileSizeOptions extends FileSizeLimits, FileSizeHandling {}

/** The checks of `FileSizeHandling`, for where the limits come from elsewhere. */
export const fileSizeHandlingChecks = {
  ...answerChecks,
  idleTimeout: withDefault(duration({ min: 1 }), 30_000),
  parse: withDefault(boolean, true),
  files: withDefault(oneOf('array', 'fields'), 'array'),
  tempDir: optional(text),
  storage: optional(having<UploadStorage>('a storage engine', '_handleFile', '_removeFile')),
  skip: optional(func<(req: Request) => boolean>()),
};

type Checked<T extends Record<string, (value: unknown, option: string) => unknown>> = {
  [K in keyof T]: ReturnType<T[K]>;
};
export type CheckedFileSizeHandling = Checked<typeof fileSizeHandlingChecks>;

/** The limits of one request, checked already; `undefined` where the customer's plan has none. */
export type FileSizeLimitsFor = (
  req: Request,
) => CheckedFileSizeLimits | undefined | Promise<CheckedFileSizeLimits | undefined>;

/**
 * Limits uploads by the bytes that really arrive: raw bodies, JSON, and multipart forms, which it parses into
 * `req.files` and `req.body`. It stands in front of whatever reads the body. What is announced as too large is refused
 * before a byte is read; what turns out too large is refused at the limit, and nobody gets a byte past it.
 *
 * @throws {ConfigError} For wrong options.
 *
 * @example
 * app.post('/jobs', fileSize({ maxFile: '1gb', maxRequest: '2gb', maxFiles: 20 }), (req, res) => {
 *   res.status(201).json(req.files.map(({ originalname, size }) => ({ originalname, size })));
 * });
 */
export function fileSize(options: FileSizeOptions): RequestHandler {
  const checked = checkOptions('fileSize', options, { ...fileSizeLimitChecks, ...fileSizeHandlingChecks });
  return fileSizeOf(() => checked, checked);
}

/** The middleware with limits that are looked up for each request. */
export function fileSizeOf(
  limitsOf: FileSizeLimitsFor,
  checked: CheckedFileSizeHandling,
  inherited: AnswerOptions = {},
): RequestHandler {
  const answers = answerSettings(checked as AnswerOptions, inherited);
  const storage = checked.storage ?? new TempStorage(checked.tempDir ?? tmpdir());
  return function fileSize_(req, res, next) {
    if (checked.skip?.(req)) {
      next();
      return;
    }
    Promise.resolve(limitsOf(req))
      .then((limits) =>
        limits === undefined
          ? next()
          : receive({ req, res, next, handling: checked, answers, storage, limits }),
      )
      .catch(next);
  };
}

/** One request and what it is handled with. */
interface Upload {
  req: Request;
  res: Response;
  next: NextFunction;
  handling: CheckedFileSizeHandling;
  answers: AnswerSettings;
  storage: UploadStorage;
  limits: CheckedFileSizeLimits;
}

const maxRequestOf = ({ maxFile, maxRequest }: CheckedFileSizeLimits): number =>
  maxRequest ?? maxFile + 1024 * 1024;

async function receive(upload: Upload): Promise<void> {
  const { req, next, handling } = upload;
  const body = bodyOf(req);
  if (body === 'none') return next();
  if (body === 'read') {
    throw new RequestError('BODY_ALREADY_READ', 500, 'fileSize must stand before what reads the body');
  }
  const early = body === 'aborted' ? uploadAborted() : refusedByHeaders(upload);
  if (early !== undefined) return answer(upload, early);
  if (isMultipart(req) && handling.parse) await receiveForm(upload);
  else await watchBody(upload);
}

/** What can be decided before a byte is read. */
function refusedByHeaders({ req, limits }: Upload): Refusal | undefined {
  const form = isMultipart(req);
  const encoding = (req.headers['content-encoding'] ?? 'identity').toLowerCase();
  const known = form ? [] : knownEncodings;
  if (encoding !== 'identity' && !known.includes(encoding)) return unsupportedEncoding(known, encoding);
  const type = mediaType(req.headers['content-type']);
  if (!form && limits.types !== undefined && !isData(type) && !isAccepted(limits.types, type)) {
    return unsupportedType(limits.types, type);
  }
  // A form's own size says nothing of its files', and a compressed body's nothing of its content's.
  const declared = Number(req.headers['content-length'] ?? 0);
  if (!form && encoding === 'identity' && declared > limits.maxFile) {
    return fileTooLarge(limits.maxFile, declared);
  }
  return declared > maxRequestOf(limits) ? requestTooLarge(maxRequestOf(limits), declared) : undefined;
}

/** Parses a form, then goes on. */
async function receiveForm(upload: Upload): Promise<void> {
  const { req, res, next, handling, storage, limits } = upload;
  const reader = new FormReader(req, limits, storage);
  const tap = tapOf(upload, Infinity, (refusal) => reader.stop(refusal));
  const reading = reader.read();
  await tap.start();
  let outcome: Form | Refusal;
  try {
    outcome = await reading;
  } catch (error) {
    // The app's error handler answers this one; the rest of the body is for nobody.
    tap.sever();
    tap.drain({ bytes() {}, end() {} });
    throw error;
  }
  if ('allowed' in outcome) {
    tap.sever();
    return answer(upload, outcome, tap);
  }
  tap.release();
  if (handling.storage === undefined) removeWhenAnswered(res, outcome.files);
  const files = handling.files === 'array' ? outcome.files : byField(outcome.files);
  Object.assign(req, { body: outcome.fields, files });
  next();
}

function byField(files: UploadedFile[]): Record<string, UploadedFile[]> {
  const fields = Object.create(null) as Record<string, UploadedFile[]>;
  for (const file of files) (fields[file.fieldname] ??= []).push(file);
  return fields;
}

/** Goes on at once, and counts while the app reads. */
async function watchBody(upload: Upload): Promise<void> {
  const { req, res, next, limits } = upload;
  let refused = false;
  const tap = tapOf(upload, isMultipart(req) ? Infinity : limits.maxFile, (refusal) => {
    refused = true;
    answer(upload, refusal, tap);
  });
  res.once('close', tap.release);
  await tap.start();
  if (refused) return;
  if (bodyOf(req) === 'aborted') answer(upload, uploadAborted());
  else next();
}

const tapOf = (upload: Upload, maxContent: number, stop: (refusal: Refusal) => void): BodyTap =>
  new BodyTap(
    upload.req,
    { maxRequest: maxRequestOf(upload.limits), maxContent, idleMs: upload.handling.idleTimeout },
    stop,
  );

/** @param tap Where the body is on its way to a reader, who then gets an error once the client has our answer. */
function answer(upload: Upload, refusal: Refusal, tap?: BodyTap): void {
  const { req, res, next, answers } = upload;
  if (tap !== undefined) failReader(req, res, refusal);
  sendRefusal(refusal, answers, systemClock, req, res, next, tap?.drain);
  if (tap !== undefined && answers.responses === 'next') tap.drain({ bytes() {}, end() {} });
}

/**
 * A reader that got no more than half a body must not take it for a whole one, nor wait for ever. It is told after the
 * connection's end: what Express does with an error that comes after the headers would cut our answer off.
 */
function failReader(req: Request, res: Response, refusal: Refusal): void {
  const error = new RequestError(refusal.code as never, refusal.status ?? 413, refusal.message);
  const fail = (): void => {
    if (req.destroyed) return;
    // Destroying it alone would say `aborted` first, which is all that many parsers then report.
    if (req.listenerCount('error') > 0) req.emit('error', error);
    req.destroy();
  };
  if (res.headersSent) fail();
  else
    res.once('close', () => {
      if (req.socket.destroyed) fail();
      else req.socket.once('close', fail);
    });
}
