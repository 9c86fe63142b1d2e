import busboy from 'busboy';
import { createHash } from 'node:crypto';
import type { Request } from 'express';
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
}

/** A request's body, parsed: its fields (or its JSON), and a report on each file. */
export interface Body {
  fields: Record<string, unknown>;
  files: Report[];
}

const formLimits = { files: 100, fields: 100, fieldSize: 64 * 1024, fileSize: 1024 ** 3 };

/** Reads the body: a multipart form, or what `express.json()` has parsed, or none. */
export async function readBody(req: Request): Promise<Body> {
  if (req.is('multipart/form-data')) return readForm(req);
  const json = req.body as unknown;
  if (typeof json === 'object' && json !== null && !Array.isArray(json)) {
    return { fields: json as Record<string, unknown>, files: [] };
  }
  if (isEmpty(req)) return { fields: {}, files: [] };
  throw new HttpError(415, 'UNSUPPORTED_BODY', 'Send a JSON object or a multipart form');
}

const isEmpty = ({ headers }: Request): boolean =>
  headers['transfer-encoding'] === undefined && Number(headers['content-length'] ?? 0) === 0;

/** Files pass through the hashes as they arrive: however large they are, nothing of them stays in memory. */
function readForm(req: Request): Promise<Body> {
  return new Promise((resolve, reject) => {
    const fields = Object.create(null) as Record<string, unknown>;
    const files: Report[] = [];
    const parser = parserOf(req);
    const fail = (status: number, code: string, message: string): void => {
      req.unpipe(parser);
      reject(new HttpError(status, code, message));
    };
    const tooMuch = (what: string): void => fail(413, 'FORM_TOO_LARGE', `The form has ${what}`);

    parser.on('field', (name, value, { valueTruncated }) => {
      if (valueTruncated) tooMuch(`a field of more than ${formLimits.fieldSize} bytes`);
      fields[name] = value;
    });
    parser.on('file', (field, stream, { filename }) => {
      const place = files.length;
      const report = reporter({ type: 'file', name: filename ?? field, field });
      files.push(report.end());
      stream.on('data', (chunk: Buffer) => report.add(chunk));
      stream.on('limit', () => tooMuch(`a file of more than ${formLimits.fileSize} bytes`));
      stream.on('end', () => (files[place] = report.end()));
      stream.on('error', () => {});
    });
    parser.on('filesLimit', () => tooMuch(`more than ${formLimits.files} files`));
    parser.on('fieldsLimit', () => tooMuch(`more than ${formLimits.fields} fields`));
    parser.on('error', (error) => fail(400, 'MALFORMED_FORM', (error as Error).message));
    parser.on('close', () => resolve({ fields, files }));
    req.on('close', () => {
      if (!req.complete) fail(400, 'UPLOAD_ABORTED', 'The client went away');
    });
    req.pipe(parser);
  });
}

function parserOf(req: Request): busboy.Busboy {
  try {
    return busboy({ headers: req.headers, defParamCharset: 'utf8', limits: formLimits });
  } catch (error) {
    throw new HttpError(400, 'MALFORMED_FORM', (error as Error).message);
  }
}

/** Adds up a report, chunk by chunk. */
function reporter(source: Report['source']): { add(chunk: Buffer): void; end(): Report } {
  const sha256 = createHash('sha256');
  const md5 = createHash('md5');
  let bytes = 0;
  let head = Buffer.alloc(0);
  return {
    add(chunk) {
      sha256.update(chunk);
      md5.update(chunk);
      bytes += chunk.length;
      if (head.length < HEAD_BYTES) head = Buffer.concat([head, chunk.subarray(0, HEAD_BYTES - head.length)]);
    },
    end: () => ({
      source,
      bytes,
      sha256: sha256.copy().digest('hex'),
      md5: md5.copy().digest('hex'),
      mime: detectType(head),
    }),
  };
}

/**
 * Reports on the URLs of a request. The example fetches nothing: a server that fetches what strangers name must first see
 * to it that they don't name its own network. The URL's text is what is hashed.
 */
export function reportUrls(urls: unknown): Report[] {
  if (urls === undefined || urls === null) return [];
  if (!Array.isArray(urls)) throw new HttpError(400, 'URLS_INVALID', '`urls` must be an array of URLs');
  return urls.map((url: unknown) => {
    if (typeof url !== 'string' || !URL.canParse(url)) {
      throw new HttpError(400, 'URLS_INVALID', `Not a URL: ${JSON.stringify(url)}`);
    }
    const report = reporter({ type: 'url', url });
    report.add(Buffer.from(url));
    return { ...report.end(), mime: 'text/uri-list' };
  });
}

/** A form's field that holds JSON: an object, or `{}` where the field is missing. */
export function jsonField(fields: Record<string, unknown>, name: string): Record<string, unknown> {
  const text = fields[name];
  if (text === undefined) return {};
  try {
    const value: unknown = JSON.parse(text as string);
    if (typeof value === 'object' && value !== null) return value as Record<string, unknown>;
  } catch {
    // Told below, with the field's name.
  }
  throw new HttpError(400, 'FIELD_INVALID', `The field '${name}' must be a JSON object`);
}
