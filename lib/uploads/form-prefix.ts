import busboy from 'busboy';
import type { IncomingMessage } from 'node:http';
import { RequestError } from '../errors.js';
import { checkOptions, duration, size, withDefault, type Checks } from '../options.js';
import type { Duration, Size } from '../units.js';
import { bodyOf, isMultipart, putBodyBack } from './body.js';

export interface FormPrefixOptions {
  /** How much of the body may come before the second byte of the first file. @default '64kb' */
  maxBytes?: Size;
  /** How long it may take to arrive, all in all. @default '5s' */
  timeout?: Duration;
}

const checks: Checks<{ maxBytes: number; timeout: number }> = {
  maxBytes: withDefault(size, 64 * 1024),
  timeout: withDefault(duration({ min: 1 }), 5_000),
};

const read = new WeakMap<IncomingMessage, Promise<Record<string, string>>>();

/**
 * Reads the fields of a multipart form that come before its first file, and puts every byte back, so that whatever
 * parses the body afterwards sees all of it. For an API whose customer is named in the form: `customer(req)` can know
 * it while the files are still on their way.
 *
 * Asked again for the same request it gives the same answer. A field that comes twice has its last value. A request
 * without a multipart body has no fields, and its body is not touched.
 *
 * @example
 * customer: async (req) => keyToAccount((await readFormPrefix(req)).api_key),
 *
 * @throws {RequestError} `FORM_PREFIX_TOO_LARGE` (413) when no file came within `maxBytes`, `UPLOAD_TIMEOUT` (408),
 *   `MALFORMED_BODY` (400), `UNSUPPORTED_ENCODING` (415), `UPLOAD_ABORTED` (400) when the client went away, and
 *   `BODY_ALREADY_READ` (500) when a parser came first. What was read has been put back then too.
 */
export function readFormPrefix(
  req: IncomingMessage,
  options: FormPrefixOptions = {},
): Promise<Record<string, string>> {
  let fields = read.get(req);
  if (fields === undefined) {
    fields = readOnce(req, checkOptions('readFormPrefix', options, checks));
    read.set(req, fields);
  }
  return fields;
}

async function readOnce(
  req: IncomingMessage,
  { maxBytes, timeout }: { maxBytes: number; timeout: number },
): Promise<Record<string, string>> {
  const body = bodyOf(req);
  if (!isMultipart(req) || body === 'none') return {};
  if (body === 'aborted') throw goneAway();
  if (body === 'read') {
    throw new RequestError('BODY_ALREADY_READ', 500, 'readFormPrefix must come before what parses the body');
  }
  if ((req.headers['content-encoding'] ?? 'identity').toLowerCase() !== 'identity') {
    throw new RequestError('UNSUPPORTED_ENCODING', 415, 'A multipart form must not have a Content-Encoding');
  }
  const fields = Object.create(null) as Record<string, string>;
  const chunks: Buffer[] = [];
  try {
    await readUntilFile(req, fields, chunks, maxBytes, timeout);
  } finally {
    putBodyBack(req, chunks);
  }
  return fields;
}

/**
 * Moves the body into `chunks` and through a parser until it meets a file or the end. It asks for exactly the bytes
 * that are there: a bare `read()` that finds the body ended would emit `end`, after which nothing can be put back.
 */
function readUntilFile(
  req: IncomingMessage,
  fields: Record<string, string>,
  chunks: Buffer[],
  maxBytes: number,
  timeoutMs: number,
): Promise<void> {
  return new Promise((resolve, reject) => {
    const parser = parserOf(req, maxBytes);
    let seen = 0;
    let settled = false;

    const settle = (error?: RequestError): void => {
      settled = true;
      clearTimeout(timer);
      req.off('readable', take).off('close', aborted);
      // The parser can't be destroyed under its own feet, and a stream notices only on the next tick that nobody
      // listens to `readable` any more; until then it stays paused.
      process.nextTick(() => {
        parser.destroy();
        if (error === undefined) resolve();
        else reject(error);
      });
    };
    const aborted = (): void => settle(goneAway());

    const take = (): void => {
      while (!settled && req.readableLength > 0) {
        const chunk = req.read(req.readableLength) as Buffer;
        chunks.push(chunk);
        const fresh = chunk.subarray(0, maxBytes - seen);
        seen += fresh.length;
        parser.write(fresh);
        if (!settled && fresh.length < chunk.length) {
          settle(new RequestError('FORM_PREFIX_TOO_LARGE', 413, `No file came within ${maxBytes} bytes`));
        }
      }
      if (!settled && req.complete) parser.end();
    };

    parser.on('field', (name: string | undefined, value) => {
      if (name !== undefined && !settled) fields[name] = value;
    });
    parser.on('file', (_name, file) => {
      file.on('error', () => {}).resume();
      if (!settled) settle();
    });
    parser.on('finish', () => {
      if (!settled) settle();
    });
    parser.on('error', (error) => {
      if (!settled) settle(malformed(error));
    });
    const timer = setTimeout(() => {
      settle(new RequestError('UPLOAD_TIMEOUT', 408, `The first fields took more than ${timeoutMs} ms`));
    }, timeoutMs).unref();
    req.on('readable', take).on('close', aborted);
  });
}

function parserOf(req: IncomingMessage, maxBytes: number): busboy.Busboy {
  try {
    return busboy({ headers: req.headers, limits: { fieldSize: maxBytes } });
  } catch (error) {
    throw malformed(error);
  }
}

const malformed = (cause: unknown): RequestError =>
  new RequestError('MALFORMED_BODY', 400, `The form can't be parsed: ${(cause as Error).message}`, { cause });

const goneAway = (): RequestError =>
  new RequestError('UPLOAD_ABORTED', 400, 'The client went away before its form had arrived');
