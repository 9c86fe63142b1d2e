import { existsSync } from 'node:fs';
import { mkdtemp, readdir, readFile, rename, rm } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { getDefaultHighWaterMark } from 'node:stream';
import { brotliCompressSync, deflateSync, gzipSync } from 'node:zlib';
import type { IncomingMessage, ServerResponse } from 'node:http';
import express5, { type RequestHandler } from 'express';
import multer from 'multer';
import { answerChecks } from '../../lib/http/answers.js';
import { lingerBounds } from '../../lib/http/refuse.js';
import {
  fileSize,
  fileSizeHandlingChecks,
  fileSizeOf,
  type FileSizeOptions,
} from '../../lib/middleware/file-size.js';
import { fileSizeLimitChecks } from '../../lib/uploads/body-limits.js';
import { checkOptions } from '../../lib/options.js';
import { readFormPrefix } from '../../lib/uploads/form-prefix.js';
import { TempStorage, type UploadedFile, type UploadStorage } from '../../lib/uploads/storage.js';
import { deferred, expressVersions, jsonErrors } from '../support/apps.js';
import { formBody, type Part } from '../support/forms.js';
import { listen, rawSocket, until, type Listening } from '../support/http.js';

// A slow machine is no failure.
jest.setTimeout(30_000);

const boundary = 'xxBOUNDARYxx';
const multipart = `multipart/form-data; boundary=${boundary}`;
const file = (size: number, name = 'a.mp4', type = 'video/mp4', field = 'file'): Part => ({
  name: field,
  value: Buffer.alloc(size, 'f'),
  filename: name,
  type,
});

let tempDir: string;
beforeAll(async () => (tempDir = await mkdtemp(join(tmpdir(), 'file-size-test-'))));
afterAll(() => rm(tempDir, { recursive: true, force: true }));

/** All files that are kept now. */
async function kept(): Promise<string[]> {
  const own = await readdir(tempDir);
  return (await Promise.all(own.map(async (name) => readdir(join(tempDir, name))))).flat();
}
const noneKept = async (): Promise<void> => {
  let names = await kept();
  await until(() => (void kept().then((now) => (names = now)), names.length === 0), 'no temporary file');
};

const servers: Listening[] = [];
afterEach(async () => {
  await Promise.all(servers.splice(0).map((server) => server.close()));
  await noneKept();
});

type Handler = RequestHandler;
interface Made {
  url: string;
  port: number;
  /** Errors that reached the app's error handler or the reader of a body. */
  errors: (Error & { code?: string })[];
}

async function serve(options: Partial<FileSizeOptions>, ...handlers: Handler[]): Promise<Made> {
  return serveWith(express5, fileSize({ maxFile: 1000, tempDir, ...options }), ...handlers);
}

async function serveWith(express: typeof express5, ...handlers: Handler[]): Promise<Made> {
  const errors: Made['errors'] = [];
  const app = express();
  app.use(...handlers);
  app.use(((error, _req, _res, next) => {
    errors.push(error as Error);
    next(error);
  }) as express5.ErrorRequestHandler);
  const listening = await listen(jsonErrors(app));
  servers.push(listening);
  return { url: listening.url, port: listening.port, errors };
}

interface Answer {
  status: number;
  headers: Headers;
  body: Record<string, unknown> & { info?: Record<string, unknown> };
}

async function post(
  url: string,
  body: Buffer,
  headers: Record<string, string> = {},
  chunked = false,
): Promise<Answer> {
  const stream = new Blob([new Uint8Array(body)]).stream();
  const init = { method: 'POST', headers, body: chunked ? stream : new Uint8Array(body), duplex: 'half' };
  const response = await fetch(url, init as RequestInit);
  return {
    status: response.status,
    headers: response.headers,
    body: (await response.json()) as Answer['body'],
  };
}
const postForm = (url: string, parts: Part[], chunked = false): Promise<Answer> =>
  post(url, formBody(boundary, parts), { 'content-type': multipart }, chunked);
const gz = { 'content-type': 'application/json', 'content-encoding': 'gzip' };

const echo: Handler = (req, res) => {
  res.json({ files: req.files, body: req.body as unknown });
};

describe.each(expressVersions)('%s: a form', (_name, express) => {
  test('is in req.files and req.body as multer users know it', async () => {
    let content: string | undefined;
    const { url } = await serveWith(express, fileSize({ maxFile: 1000, tempDir }), async (req, res) => {
      const [first] = req.files as unknown as UploadedFile[];
      content = await readFile(first!.path!, 'utf8');
      res.json({ files: req.files, body: req.body as unknown });
    });
    const { status, body } = await postForm(url, [
      { name: 'a', value: '1' },
      file(10, 'ünïcode.mp4'),
      { name: 'list', value: 'x' },
      { name: 'list', value: 'y' },
      { name: 'chosen-none', value: '', filename: '', type: 'application/octet-stream' },
      file(0, '../../etc/passwd', 'text/plain', 'other'),
      { name: '__proto__', value: 'z' },
    ]);
    expect(status).toBe(200);
    const described = (name: string, rest: object): object => ({
      fieldname: name,
      encoding: '7bit',
      path: expect.stringContaining(tempDir) as string,
      destination: expect.stringContaining(tempDir) as string,
      filename: expect.stringMatching(/^[0-9a-f]{32}$/) as string,
      ...rest,
    });
    expect(body.files).toEqual([
      described('file', { originalname: 'ünïcode.mp4', mimetype: 'video/mp4', size: 10 }),
      described('other', { originalname: 'passwd', mimetype: 'text/plain', size: 0 }),
    ]);
    expect(Object.entries(body.body as object)).toEqual([
      ['a', '1'],
      ['list', ['x', 'y']],
      ['__proto__', 'z'],
    ]);
    expect(content).toBe('f'.repeat(10));
  });

  test('by field, with files: fields', async () => {
    const { url } = await serveWith(express, fileSize({ maxFile: 1000, tempDir, files: 'fields' }), echo);
    const { body } = await postForm(url, [file(1, 'a'), file(2, 'b'), file(3, 'c', 'a/b', 'other')]);
    expect(body.files).toMatchObject({ file: [{ size: 1 }, { size: 2 }], other: [{ size: 3 }] });
  });

  test('after an asynchronous middleware, and after readFormPrefix', async () => {
    let fields: unknown;
    const waits: Handler = (req, _res, next) =>
      void until(() => req.complete)
        .then(() => readFormPrefix(req))
        .then((read) => (fields = { ...read }))
        .then(() => next());
    const { url } = await serveWith(express, waits, fileSize({ maxFile: 1000, tempDir }), echo);
    const { body } = await postForm(url, [{ name: 'key', value: 'k' }, file(1000)]);
    expect(fields).toEqual({ key: 'k' });
    expect(body).toMatchObject({ body: { key: 'k' }, files: [{ size: 1000 }] });
    expect((await postForm(url, [file(1001)])).body.error).toBe('FILE_TOO_LARGE');
  });

  test('a body that a parser has read is a mistake that says so', async () => {
    const { url, errors } = await serveWith(express, express.json(), fileSize({ maxFile: 9 }), echo);
    expect((await post(url, Buffer.from('{}'), { 'content-type': 'application/json' })).status).toBe(500);
    expect(errors).toMatchObject([{ code: 'BODY_ALREADY_READ' }]);
  });
});

describe('a form is refused', () => {
  const cases: [string, Partial<FileSizeOptions>, Part[], number, string, object][] = [
    [
      'a file of one byte more',
      {},
      [file(1001)],
      413,
      'FILE_TOO_LARGE',
      { limit: 'max-file', allowed: 1000, file: 'a.mp4', field: 'file' },
    ],
    [
      'the total',
      { maxRequest: 2000 },
      [file(900), file(900)],
      413,
      'REQUEST_TOO_LARGE',
      { limit: 'max-request', allowed: 2000 },
    ],
    [
      'a file too many',
      { maxFiles: 1 },
      [file(1), file(1)],
      413,
      'TOO_MANY_FILES',
      { limit: 'max-files', allowed: 1 },
    ],
    [
      'a field too many',
      { maxFields: 1 },
      [file(1), { name: 'a', value: '' }, { name: 'b', value: '' }],
      413,
      'TOO_MANY_FIELDS',
      { limit: 'max-fields', allowed: 1 },
    ],
    [
      'fields too large together',
      { maxFieldBytes: 5 },
      [file(1), { name: 'a', value: '123' }, { name: 'b', value: '456' }],
      413,
      'FIELDS_TOO_LARGE',
      { allowed: 5 },
    ],
    [
      'one field too large',
      { maxFieldBytes: 5 },
      [file(1), { name: 'a', value: '123456' }],
      413,
      'FIELDS_TOO_LARGE',
      { allowed: 5 },
    ],
    [
      'fields whose names are too large',
      { maxFieldBytes: 5 },
      [{ name: 'a'.repeat(6), value: '' }],
      413,
      'FIELDS_TOO_LARGE',
      { limit: 'max-field-bytes', allowed: 5 },
    ],
    [
      'files that are none, too many of them',
      { maxFields: 1 },
      [1, 2].map(() => ({ name: 'f', value: '', filename: '', type: 'application/octet-stream' })),
      413,
      'TOO_MANY_FIELDS',
      { limit: 'max-fields', allowed: 1 },
    ],
    [
      'another type',
      { types: ['image/*', 'video/mp4'] },
      [file(1), file(1, 'x.exe', 'application/x-msdownload')],
      415,
      'UNSUPPORTED_TYPE',
      { allowed: ['image/*', 'video/mp4'], received: 'application/x-msdownload', file: 'x.exe' },
    ],
    ['a field without a name', {}, [file(1), { name: '', value: 'x' }], 400, 'MALFORMED_BODY', {}],
  ];
  test.each(cases)('%s', async (_name, options, parts, status, error, info) => {
    const { url } = await serve(options, echo);
    for (const chunked of [false, true]) {
      const answer = await postForm(url, parts, chunked);
      expect(answer).toMatchObject({
        status,
        body: { error, ...(Object.keys(info).length > 0 ? { info } : {}) },
      });
      expect(answer.headers.get('retry-after')).toBeNull();
      expect(answer.body.info ?? {}).not.toHaveProperty('retryIn');
      expect(answer.headers.get('cache-control')).toBe('no-store');
      await noneKept();
    }
  });

  test('of parts that are neither field nor file, too many of them', async () => {
    const { url } = await serve({ maxFields: 2, maxFiles: 2 }, echo);
    const form = (parts: number): Buffer =>
      Buffer.from(`${`--${boundary}\r\nX: y\r\n\r\nz\r\n`.repeat(parts)}--${boundary}--\r\n`);
    const headers = { 'content-type': multipart };
    expect((await post(url, form(4), headers)).body).toEqual({ files: [], body: {} });
    expect((await post(url, form(5), headers)).body).toMatchObject({ error: 'TOO_MANY_FIELDS' });
  });

  test('and accepted at exactly the same limits', async () => {
    const parts = [file(1000), { name: 'a', value: '12' }, { name: 'b', value: '345' }];
    const maxRequest = formBody(boundary, parts).length;
    const exactly = { maxRequest, maxFiles: 1, maxFields: 2, maxFieldBytes: 7, types: ['video/*'] };
    const { url } = await serve(exactly, echo);
    expect((await postForm(url, parts)).status).toBe(200);
    expect((await postForm(url, parts, true)).status).toBe(200);
    const { url: smaller } = await serve({ ...exactly, maxRequest: maxRequest - 1 }, echo);
    expect((await postForm(smaller, parts)).body).toMatchObject({
      error: 'REQUEST_TOO_LARGE',
      info: { allowed: maxRequest - 1, received: maxRequest },
    });
    expect((await postForm(smaller, parts, true)).body).toMatchObject({ error: 'REQUEST_TOO_LARGE' });
  });

  const whole = formBody(boundary, [{ name: 'a', value: 'b' }, file(100)]);
  test.each([
    ['no boundary', 'multipart/form-data', whole],
    ['another boundary', 'multipart/form-data; boundary=other', whole],
    ['cut off in a file', multipart, whole.subarray(0, whole.length - 50)],
    ['cut off in a header', multipart, whole.subarray(0, 130)],
    ['without its last two dashes', multipart, whole.subarray(0, whole.length - 4)],
    ['a bad header', multipart, Buffer.from(`--${boundary}\r\nno colon\r\n\r\nx\r\n--${boundary}--\r\n`)],
  ])('malformed: %s', async (_name, type, body) => {
    const { url } = await serve({}, echo);
    const answer = await post(url, body, { 'content-type': type });
    expect(answer).toMatchObject({ status: 400, body: { error: 'MALFORMED_BODY' } });
    expect(answer.body).not.toHaveProperty('info');
  });

  test('compressed', async () => {
    const { url } = await serve({}, echo);
    const answer = await post(url, gzipSync(whole), {
      'content-type': multipart,
      'content-encoding': 'gzip',
    });
    expect(answer).toMatchObject({ status: 415, body: { error: 'UNSUPPORTED_ENCODING' } });
  });

  test('and the connection serves the next request where little was left to read', async () => {
    const { port } = await serve({}, echo);
    const socket = await rawSocket(port);
    const body = formBody(boundary, [file(1001)]).toString('latin1');
    const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: text/plain\r\nContent-Length: ${body.length}\r\n\r\n`;
    socket.write(head + body + head.replace(String(body.length), '2') + 'ok');
    await until(() => /413 Payload[^]*200 OK/.test(socket.received()), 'both answers');
    socket.destroy();
  });
});

test('with parse: false only maxRequest counts and multer reads the form', async () => {
  const { url } = await serve({ parse: false, maxRequest: 5000 }, multer().any(), (req, res) => {
    res.json((req.files as Express.Multer.File[]).map(({ size }) => size));
  });
  expect((await postForm(url, [file(2000)])).body).toEqual([2000]);
  expect((await postForm(url, [file(5000)], true)).body).toMatchObject({ error: 'REQUEST_TOO_LARGE' });
});

describe('temporary files', () => {
  test('are there until the response has ended, and what was moved stays', async () => {
    const moved = join(tempDir, '..', `moved-${process.pid}`);
    let path = '';
    const { url } = await serve({}, async (req, res) => {
      const [first, second] = req.files as unknown as UploadedFile[];
      path = first!.path!;
      await rename(second!.path!, moved);
      res.json({ there: existsSync(path) });
    });
    expect((await postForm(url, [file(1), file(2)])).body).toEqual({ there: true });
    await until(() => !existsSync(path));
    expect(existsSync(moved)).toBe(true);
    await rm(moved);
  });

  test('go when the client vanishes in the middle of a file', async () => {
    let answered: number | undefined;
    const { port } = await serveWith(
      express5,
      (_req, res, next) => {
        const end = res.end.bind(res) as () => typeof res;
        res.end = () => {
          answered = res.statusCode;
          return end();
        };
        next();
      },
      fileSize({ maxFile: 1000, tempDir }),
      echo,
    );
    const body = formBody(boundary, [file(500), file(500)]);
    const socket = await rawSocket(port);
    socket.write(
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${multipart}\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    socket.write(body.subarray(0, body.length - 200));
    let names: string[] = [];
    await until(() => (void kept().then((now) => (names = now)), names.length === 2), 'two files');
    socket.destroy();
    await noneKept();
    // Whoever waits for this response to end, such as an admission, learns that it failed.
    expect(answered).toBe(400);
  });

  describe('a client that vanishes when all of its form has come', () => {
    const ended: number[] = [];
    let request: IncomingMessage;
    let response: ServerResponse;
    const note: Handler = (req, res, next) => {
      request = req;
      response = res;
      const end = res.end.bind(res) as (...args: unknown[]) => typeof res;
      res.end = (...args: unknown[]) => {
        ended.push(res.statusCode);
        return end(...args);
      };
      next();
    };
    let came: boolean;
    beforeEach(() => {
      came = false;
      ended.length = 0;
    });
    /** Sends a form of one file, and goes away when the server has got all of it. */
    const sendAndVanish = async (port: number, size: number, isSo: () => boolean): Promise<void> => {
      const body = formBody(boundary, [file(size)]);
      const socket = await rawSocket(port);
      socket.write(
        `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${multipart}\r\nContent-Length: ${body.length}\r\n\r\n`,
      );
      socket.write(body);
      await until(() => isSo() && request.complete, 'the whole form');
      socket.destroy();
      await until(() => response.closed, 'the end of the response');
    };

    test('before it is read', async () => {
      const goes = deferred();
      const waits: Handler = (_req, _res, next) => {
        came = true;
        void goes.promise.then(() => next());
      };
      const { port, errors } = await serveWith(
        express5,
        note,
        waits,
        fileSize({ maxFile: 1000, tempDir }),
        echo,
      );
      await sendAndVanish(port, 500, () => came);
      goes.resolve();
      await until(() => ended.length > 0, 'an answer');
      expect(ended).toEqual([400]);
      expect(errors).toEqual([]);
    });

    test('while a compressed body is decoded', async () => {
      const vanishes: Handler = (req, _res, next) => {
        void until(() => req.readableLength > 0).then(() => {
          next();
          // fileSize has begun with what came, and zlib, in another thread, is not through with it.
          process.nextTick(() => process.nextTick(() => req.destroy()));
        });
      };
      const { port, errors } = await serveWith(express5, note, vanishes, fileSize({ maxFile: '1gb' }), echo);
      const socket = await rawSocket(port);
      const body = gzipSync(Buffer.alloc(5_000_000));
      socket.write(
        `POST / HTTP/1.1\r\nHost: x\r\nContent-Encoding: gzip\r\nContent-Length: ${body.length + 1}\r\n\r\n`,
      );
      socket.write(body);
      await until(() => ended.length > 0, 'an answer');
      expect(ended).toEqual([400]);
      expect(errors).toEqual([]);
      socket.destroy();
    });

    test('while it is read by a slow storage', async () => {
      const storage: UploadStorage = {
        // It reads nothing, so that the rest waits in the request.
        _handleFile: (_req, { stream }, callback) => {
          came = true;
          stream.on('close', () => callback(new Error('closed')));
        },
        _removeFile: (_req, _file, callback) => callback(null),
      };
      const { port } = await serveWith(express5, note, fileSize({ maxFile: '1mb', storage }), echo);
      // More than the streams between take, which is another amount in later versions of Node.
      await sendAndVanish(port, 100_000 + getDefaultHighWaterMark(false), () => came);
      await until(() => ended.length > 0, 'an answer');
      expect(ended).toEqual([400]);
    });

    test('while it is stored', async () => {
      const goes = deferred();
      // eslint-disable-next-line @typescript-eslint/unbound-method
      const store = TempStorage.prototype._handleFile;
      const late = jest.spyOn(TempStorage.prototype, '_handleFile').mockImplementation(function (
        this: TempStorage,
        req,
        given,
        callback,
      ) {
        store.call(this, req, given, (error, info) => {
          came = true;
          void goes.promise.then(() => callback(error, info));
        });
      });
      const { port } = await serveWith(express5, note, fileSize({ maxFile: 1000, tempDir }), echo);
      await sendAndVanish(port, 500, () => came);
      goes.resolve();
      await until(() => ended.length > 0, 'an answer');
      // The handler has answered; what it made is nobody's.
      expect(ended).toEqual([200]);
      await noneKept();
      late.mockRestore();
    });
  });

  test('stay for a handler whose client has gone, until it ends the response', async () => {
    const closed = deferred();
    const go = deferred();
    let path = '';
    const { port } = await serve({}, async (req, res) => {
      path = (req.files as unknown as UploadedFile[])[0]!.path!;
      res.on('close', () => closed.resolve());
      await go.promise;
      res.json({});
    });
    const body = formBody(boundary, [file(1)]);
    const socket = await rawSocket(port);
    socket.write(
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${multipart}\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    socket.write(body);
    await until(() => path !== '');
    socket.destroy();
    await closed.promise;
    // Another upload comes and goes in the meantime.
    const { url } = await serve({}, echo);
    await postForm(url, [file(1)]);
    let names: string[] = [];
    await until(() => (void kept().then((now) => (names = now)), names.length === 1), 'one file');
    expect(existsSync(path)).toBe(true);
    go.resolve();
    await until(() => !existsSync(path));
  });
});

describe('a storage engine', () => {
  test('made for multer takes the files', async () => {
    const { url } = await serve({ storage: multer.memoryStorage() }, (req, res) => {
      res.json(
        (req.files as Express.Multer.File[]).map((each) => ({ ...each, buffer: String(each.buffer) })),
      );
    });
    expect((await postForm(url, [file(3)])).body).toEqual([
      expect.objectContaining({ originalname: 'a.mp4', size: 3, buffer: 'fff' }),
    ]);
  });

  const removed: string[] = [];
  const stored: string[] = [];
  const engine = (onSecond: (callback: (error?: unknown) => void) => void): UploadStorage => ({
    _handleFile(_req, { stream, originalname }, callback) {
      stream.resume().on('end', () => {
        if (originalname === 'second') return onSecond(callback);
        stored.push(originalname);
        callback();
      });
    },
    _removeFile(_req, { originalname }, callback) {
      removed.push(originalname);
      callback(null);
    },
  });
  beforeEach(() => {
    removed.length = 0;
    stored.length = 0;
  });
  const two = [file(1, 'first'), file(1, 'second'), file(2000, 'third')];

  test('is told to remove what it stored when the form is refused', async () => {
    const { url } = await serve({ storage: engine((callback) => (stored.push('second'), callback())) }, echo);
    expect((await postForm(url, two)).body.error).toBe('FILE_TOO_LARGE');
    expect(stored).toContain('first');
    expect(removed).toEqual(stored);
    removed.length = 0;
    expect((await postForm(url, two.slice(0, 2))).status).toBe(200);
    expect(removed).toEqual([]);
  });

  test('that calls back with an error is UPLOAD_FAILED', async () => {
    const failing = engine((callback) => callback(new Error('disk full')));
    const large = { maxRequest: '100mb', maxFiles: 10_000 };
    const { url, errors } = await serve({ storage: failing, ...large }, echo);
    expect((await postForm(url, two.slice(0, 2))).body).toMatchObject({ code: 'UPLOAD_FAILED' });
    expect(errors).toMatchObject([{ code: 'UPLOAD_FAILED', status: 500, cause: { message: 'disk full' } }]);
    expect(removed).toEqual(stored);
    // The same with a form of which much is still to come.
    expect((await postForm(url, [...two.slice(0, 2), ...Array<Part>(9_000).fill(file(900))])).status).toBe(
      500,
    );
  });

  test('that throws is UPLOAD_FAILED', async () => {
    const throwing = {
      ...engine(() => {}),
      _handleFile() {
        throw new Error('a bug');
      },
    };
    const { url, errors } = await serve({ storage: throwing }, echo);
    expect((await postForm(url, two)).status).toBe(500);
    expect(errors).toMatchObject([{ code: 'UPLOAD_FAILED', cause: { message: 'a bug' } }]);
  });
});

/** Reads the body itself and tells how that ended. */
function bodyReader(): { handler: Handler; readings: { bytes: number; ended?: string }[] } {
  const readings: { bytes: number; ended?: string }[] = [];
  const handler: Handler = async (req, res) => {
    const reading: { bytes: number; ended?: string } = { bytes: 0 };
    readings.push(reading);
    try {
      for await (const chunk of req) reading.bytes += (chunk as Buffer).length;
      reading.ended = 'complete';
      res.json(reading);
    } catch (error) {
      reading.ended = (error as { code: string }).code;
    }
  };
  return { handler, readings };
}

describe('a body that is no form', () => {
  const octets = { 'content-type': 'application/octet-stream' };

  test('of the limit passes, of one byte more does not: by its length before a byte, chunked at the limit', async () => {
    const { handler, readings } = bodyReader();
    const { url } = await serve({ maxFile: 100_000 }, handler);
    for (const chunked of [false, true]) {
      expect((await post(url, Buffer.alloc(100_000), octets, chunked)).body).toMatchObject({
        bytes: 100_000,
      });
    }
    expect((await post(url, Buffer.alloc(100_001), octets)).body).toEqual({
      error: 'FILE_TOO_LARGE',
      message: 'The body has more than 97.66 KB.',
      info: { limit: 'max-file', allowed: 100_000, received: 100_001 },
    });
    expect(readings).toHaveLength(2);
    expect((await post(url, Buffer.alloc(100_001), octets, true)).body).toMatchObject({
      error: 'FILE_TOO_LARGE',
      info: { limit: 'max-file', allowed: 100_000 },
    });
    await until(() => readings[2]?.ended !== undefined, 'the reader to be told');
    expect(readings[2]).toMatchObject({ ended: 'FILE_TOO_LARGE' });
    expect(readings[2]!.bytes).toBeLessThanOrEqual(100_000);
  });

  test('a reader that has stopped does not keep the rest from coming in once it is refused', async () => {
    const { port } = await serve({ maxFile: 20_000 }, (req) => void req.once('data', () => req.pause()));
    const socket = await rawSocket(port);
    let closed = false;
    socket.on('close', () => (closed = true));
    const piece = `3e8\r\n${'x'.repeat(1000)}\r\n`;
    socket.write(`POST / HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n${piece}`);
    socket.end(`${piece.repeat(2_000)}0\r\n\r\n`);
    const began = performance.now();
    await until(() => closed, 'the end of the connection');
    expect(socket.received()).toContain('FILE_TOO_LARGE');
    // Had it stayed stopped, the linger would have given up on it only after its idle time.
    expect(performance.now() - began).toBeLessThan(lingerBounds.idleMs);
  });

  test('a reader that listens for nothing but the end of it all is told so', async () => {
    const events: string[] = [];
    const { url } = await serve({ maxFile: 200_000 }, (req) => {
      for (const event of ['end', 'aborted', 'close']) req.on(event, () => events.push(event));
      req.resume();
    });
    expect((await post(url, Buffer.alloc(3_000_000), octets, true)).body.error).toBe('FILE_TOO_LARGE');
    await until(() => events.includes('close'), 'the reader to be told');
    expect(events).toEqual(['aborted', 'close']);
  });

  test('JSON and raw parsers behind it work, and refuse nothing twice', async () => {
    const parsers = [express5.json({ limit: '10mb' }), express5.raw({ type: '*/*' })];
    const { url, errors } = await serve({ maxFile: 200_000, types: ['video/*'] }, ...parsers, echo);
    const json = { 'content-type': 'application/json' };
    expect((await post(url, Buffer.from('{"a":1}'), json)).body).toEqual({ body: { a: 1 } });
    expect((await post(url, Buffer.from('abc'), { 'content-type': 'video/mp4' })).status).toBe(200);
    expect(await post(url, Buffer.from('abc'), octets)).toMatchObject({
      status: 415,
      body: { error: 'UNSUPPORTED_TYPE' },
    });
    const large = Buffer.from(JSON.stringify('x'.repeat(3_000_000)));
    expect((await post(url, large, json, true)).body.error).toBe('FILE_TOO_LARGE');
    await until(() => errors.length === 1, 'the parser to be told');
    expect(errors).toMatchObject([{ code: 'FILE_TOO_LARGE' }]);
  });

  test('a request without a body passes', async () => {
    const { url } = await serve({}, echo);
    expect((await fetch(url)).status).toBe(200);
  });
});

describe('a compressed body is measured by its content', () => {
  const codings = { gzip: gzipSync, deflate: deflateSync, br: (data: Buffer) => brotliCompressSync(data) };
  const text = (length: number): Buffer => Buffer.from(JSON.stringify('x'.repeat(length - 2)));
  const late: Handler = (req, _res, next) => void until(() => req.complete).then(() => next());

  test.each(Object.entries(codings))('%s', async (coding, compress) => {
    const { url } = await serve({}, express5.json({ strict: false }), echo);
    const headers = { ...gz, 'content-encoding': coding };
    for (const chunked of [false, true]) {
      expect((await post(url, compress(text(1000)), headers, chunked)).body).toEqual({
        body: 'x'.repeat(998),
      });
      expect((await post(url, compress(text(1001)), headers, chunked)).body.error).toBe('FILE_TOO_LARGE');
    }
  });

  test('also when it had arrived before', async () => {
    const behind = [late, fileSize({ maxFile: 1000 }), express5.json({ strict: false }), echo];
    const { url } = await serveWith(express5, ...behind);
    expect((await post(url, gzipSync(text(1000)), gz)).body).toEqual({ body: 'x'.repeat(998) });
    expect((await post(url, gzipSync(text(1001)), gz)).body.error).toBe('FILE_TOO_LARGE');
  });

  test('a bomb of 100 MB is stopped at the limit, and what came is not handed on', async () => {
    const { handler, readings } = bodyReader();
    const { url } = await serve({ maxFile: '1mb' }, handler);
    const answer = await post(url, gzipSync(Buffer.alloc(100_000_000)), { 'content-encoding': 'gzip' });
    expect(answer.body.error).toBe('FILE_TOO_LARGE');
    await until(() => readings.every(({ ended }) => ended !== undefined));
    for (const reading of readings) expect(reading).toEqual({ bytes: 0, ended: 'FILE_TOO_LARGE' });
  });

  test('larger than one chunk, in order and complete', async () => {
    const { handler } = bodyReader();
    const { url } = await serve({ maxFile: '10mb' }, handler);
    const body = gzipSync(Buffer.from(Array.from({ length: 400_000 }, (_, i) => i.toString(36)).join()));
    expect((await post(url, body, { 'content-encoding': 'gzip' }, true)).body).toMatchObject({
      bytes: body.length,
    });
  });

  test('broken or cut off it is malformed, and an unknown coding is named', async () => {
    const { url } = await serve({}, express5.json({ strict: false }), echo);
    expect(await post(url, Buffer.from('no gzip at all'), gz)).toMatchObject({
      status: 400,
      body: { error: 'MALFORMED_BODY' },
    });
    expect(await post(url, gzipSync(text(900)).subarray(0, 20), gz)).toMatchObject({
      body: { error: 'MALFORMED_BODY' },
    });
    expect(await post(url, text(9), { ...gz, 'content-encoding': 'zstd' })).toMatchObject({
      status: 415,
      body: { error: 'UNSUPPORTED_ENCODING', info: { allowed: ['gzip', 'deflate', 'br'], received: 'zstd' } },
    });
  });
});

describe('an upload that stalls', () => {
  const start = (type: string, length = 100_000): string =>
    `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${type}\r\nContent-Length: ${length}\r\n\r\n`;

  test.each([
    ['a raw body', 'application/octet-stream', 'some bytes'],
    [
      'a form',
      multipart,
      formBody(boundary, [file(500)])
        .subarray(0, 300)
        .toString(),
    ],
    [
      'compressed',
      'application/json\r\nContent-Encoding: gzip',
      gzipSync('abc').subarray(0, 9).toString('latin1'),
    ],
  ])('%s: 408, and the connection is closed', async (_name, type, bytes) => {
    const { handler, readings } = bodyReader();
    const { port } = await serve({ maxFile: '1mb', idleTimeout: 50 }, handler);
    const socket = await rawSocket(port);
    socket.write(start(type) + bytes, 'latin1');
    await until(() => socket.received().includes('UPLOAD_TIMEOUT'), 'the answer');
    expect(socket.received()).toMatch(/^HTTP\/1\.1 408 /);
    expect(socket.received()).toMatch(/\r\nConnection: close\r\n/);
    expect(socket.received()).toContain('"info":{"limit":"idle-timeout","allowed":0.05}');
    socket.destroy();
    await until(() => readings.every(({ ended }) => ended !== undefined), 'the reader');
    // Whichever came first, the end of the linger or the client's.
    for (const { ended } of readings) expect(['UPLOAD_TIMEOUT', 'ECONNRESET']).toContain(ended);
  });

  test('a byte now and then does not help', async () => {
    const { handler } = bodyReader();
    const { port } = await serve({ maxFile: '1mb', idleTimeout: 600 }, handler);
    const socket = await rawSocket(port);
    socket.write(start('text/plain'));
    const drip = setInterval(() => socket.write('x'), 10);
    await until(() => socket.received().includes('UPLOAD_TIMEOUT'), 'the answer');
    clearInterval(drip);
    socket.destroy();
  });

  test('a slow handler is not the client’s fault', async () => {
    const go = deferred();
    const { url } = await serve({ maxFile: '10mb', idleTimeout: 700 }, async (req, res) => {
      await go.promise;
      let bytes = 0;
      for await (const chunk of req) bytes += (chunk as Buffer).length;
      res.json({ bytes });
    });
    const answer = post(url, Buffer.alloc(2_000_000), {}, true);
    setTimeout(() => go.resolve(), 1_000);
    expect((await answer).body).toEqual({ bytes: 2_000_000 });
  });
});

describe('answers', () => {
  const large = (url: string): Promise<Response> => fetch(url, { method: 'POST', body: 'x'.repeat(1001) });

  test('as a problem, and by a function', async () => {
    const { url } = await serve({ responses: 'problem' });
    const response = await large(url);
    expect(response.headers.get('content-type')).toBe('application/problem+json');
    expect(await response.json()).toMatchObject({ status: 413, code: 'FILE_TOO_LARGE', allowed: 1000 });
    const own = await serve({
      responses: ({ code }) => ({ status: 499, headers: { 'x-a': 'b' }, body: code }),
    });
    const other = await large(own.url);
    expect([other.status, other.headers.get('x-a'), await other.text()]).toEqual([
      499,
      'b',
      'FILE_TOO_LARGE',
    ]);
  });

  test('by the error handler, with responses: next, early and late', async () => {
    const { url, errors } = await serve({ responses: 'next' }, echo);
    expect(await (await large(url)).json()).toMatchObject({ code: 'FILE_TOO_LARGE' });
    expect((await postForm(url, [file(1001)], true)).body).toMatchObject({ code: 'FILE_TOO_LARGE' });
    expect(errors.map(({ name }) => name)).toEqual(['LimitError', 'LimitError']);
  });
});

test('limits by request: none at all, or as they are found', async () => {
  const handling = checkOptions('fileSize', { tempDir }, fileSizeHandlingChecks);
  const limits = checkOptions('fileSize', { maxFile: 5 }, fileSizeLimitChecks);
  const byPlan = fileSizeOf(async (req) => (req.query['plan'] === 'free' ? limits : undefined), handling);
  const { url } = await serveWith(express5, byPlan, express5.text(), echo);
  const send = (plan: string): Promise<Response> =>
    fetch(`${url}?plan=${plan}`, { method: 'POST', body: '123456' });
  expect((await send('free')).status).toBe(413);
  expect((await send('pro')).status).toBe(200);
  const failing = await serveWith(
    express5,
    fileSizeOf(() => Promise.reject(new Error('no plan')), handling),
  );
  expect(await (await fetch(failing.url)).json()).toMatchObject({ message: 'no plan' });
  const throwing = await serveWith(
    express5,
    fileSizeOf(() => {
      throw new Error('no plan');
    }, handling),
  );
  expect(await (await fetch(throwing.url)).json()).toMatchObject({ message: 'no plan' });
});

test('skip, and options that are wrong', async () => {
  const { url } = await serve({ maxFile: 1, skip: () => true }, express5.text(), echo);
  expect((await fetch(url, { method: 'POST', body: '123' })).status).toBe(200);
  expect(() => fileSize({} as never)).toThrow(/fileSize\.maxFile: expected a size/);
  expect(() => fileSize({ maxFile: 1, maxFle: 2 } as never)).toThrow(/did you mean 'maxFile'/);
  expect(() => fileSize({ maxFile: 1, storage: {} as never })).toThrow(/a storage engine/);
  expect(Object.keys(answerChecks).every((key) => key in fileSizeHandlingChecks)).toBe(true);
});

test('50 uploads at once, each with its own file', async () => {
  const { url } = await serve({ maxFile: '1mb' }, async (req, res) => {
    const [first] = req.files as unknown as UploadedFile[];
    res.json({ size: (await readFile(first!.path!)).length, name: first!.originalname });
  });
  const sizes = Array.from({ length: 50 }, (_, index) => index * 997);
  const answers = await Promise.all(
    sizes.map((size) => postForm(url, [file(size, `${size}.mp4`)], size % 2 === 0)),
  );
  expect(answers.map(({ body }) => body)).toEqual(sizes.map((size) => ({ size, name: `${size}.mp4` })));
});
