import { createHash } from 'node:crypto';
import { createReadStream } from 'node:fs';
import type { Request, RequestHandler } from 'express';
import { archivesOf, urlsOf, type JobLimits, type UploadedFile } from 'express-job-limits';
import { detectType, HEAD_BYTES } from './file-type.js';
import { HttpError } from './http-error.js';

/** What a job finds out about one of its inputs. */
export interface Report {
  source: { type: 'file'; name: string; field: string } | { type: 'url'; url: string };
  bytes: number;
  sha256: string;
  md5: string;
  /** By the first bytes, see `detectType`. */
  mime: string;
  /** How many entries an archive has; missing for what is none. */
  entries?: number;
}

/** The fields of a form, or a JSON object. */
export type Fields = Record<string, unknown>;

/**
 * What a creation may bring, by its customer's plan. They come after the admission: a customer at its limit can't make
 * the server read its files, and what they refuse has cost nothing.
 *
 * @param urlsIn Finds the URLs in the fields of this API's requests.
 */
export const bodyLimits = (limits: JobLimits, urlsIn: (fields: Fields) => unknown[]): RequestHandler[] => [
  limits.fileSize(),
  limits.archiveLimits(),
  limits.urlCount({ from: (req) => urlsIn(fieldsOf(req)) }),
];

function fieldsOf(req: Request): Fields {
  const body = req.body as unknown;
  if (typeof body === 'object' && body !== null && !Array.isArray(body)) return body as Fields;
  if (body === undefined && isEmpty(req)) return {};
  throw new HttpError(415, 'UNSUPPORTED_BODY', 'Send a JSON object or a multipart form');
}

const isEmpty = ({ headers }: Request): boolean =>
  headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;

/**
 * A report on each file, which is on disk until the response has ended, and on each URL. The example fetches nothing: what
 * is hashed of a URL is its text.
 */
export async function reportsOf(req: Request): Promise<Report[]> {
  const reports: Report[] = [];
  const entries = new Map(archivesOf(req).map((archive) => [archive.index, archive.entries]));
  for (const [index, file] of ((req.files ?? []) as unknown as UploadedFile[]).entries()) {
    const { originalname: name, fieldname: field } = file;
    const report = await reportOn({ type: 'file', name, field }, createReadStream(file.path!));
    reports.push(entries.has(index) ? { ...report, entries: entries.get(index)! } : report);
  }
  for (const url of urlsOf(req)) {
    const report = await reportOn({ type: 'url', url }, [Buffer.from(url)]);
    reports.push({ ...report, mime: 'text/uri-list' });
  }
  return reports;
}

/** However large the content is, only a piece of it is in memory. */
async function reportOn(
  source: Report['source'],
  content: AsyncIterable<Buffer> | Iterable<Buffer>,
): Promise<Report> {
  const sha256 = createHash('sha256');
  const md5 = createHash('md5');
  let bytes = 0;
  let head = Buffer.alloc(0);
  for await (const piece of content) {
    sha256.update(piece);
    md5.update(piece);
    bytes += piece.length;
    if (head.length < HEAD_BYTES) head = Buffer.concat([head, piece.subarray(0, HEAD_BYTES - head.length)]);
  }
  return { source, bytes, sha256: sha256.digest('hex'), md5: md5.digest('hex'), mime: detectType(head) };
}

/** What may be one value, several, or missing. */
export function listOf(value: unknown): unknown[] {
  if (Array.isArray(value)) return value as unknown[];
  return value === undefined || value === null ? [] : [value];
}

/** A form's field that holds JSON: an object, or `{}` where the field is missing. */
export function jsonField(fields: Fields, name: string): Fields {
  const text = fields[name];
  if (text === undefined) return {};
  try {
    const value: unknown = typeof text === 'string' ? JSON.parse(text) : undefined;
    if (typeof value === 'object' && value !== null) return value as Fields;
  } catch {
    // Told below, with the field's name.
  }
  throw new HttpError(400, 'FIELD_INVALID', `The field '${name}' must be a JSON object`);
}
