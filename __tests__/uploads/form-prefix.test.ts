import busboy from 'busboy';
import express, { type Request, type RequestHandler } from 'express';
import fc from 'fast-check';
import multer from 'multer';
import { once } from 'node:events';
import type { IncomingMessage } from 'node:http';
import { promisify } from 'node:util';
import type { RequestError } from '../../lib/errors.js';
import { readFormPrefix, type FormPrefixOptions } from '../../lib/uploads/form-prefix.js';
import { formBody, type Part } from '../support/forms.js';
import { listen, rawSocket, until, type Listening } from '../support/http.js';

// A slow machine is no failure.
jest.setTimeout(30_000);

const boundary = '----a boundary';
const multipart = `multipart/form-data; boundary="${boundary}"`;
const parts: Part[] = [
  { name: 'params', value: '{"auth":{"key":"Schlüssel"}}' },
  { name: 'empty', value: '' },
  { name: 'dashes', value: `\r\n--${boundary.slice(0, -1)}\r\n--\r` },
  { name: 'file', value: Buffer.from([0, 13, 10, 45, 45, 255]), filename: 'a.bin', type: 'image/png' },
  { name: 'late', value: 'after the file' },
];
const fieldsBefore = { params: parts[0]!.value, empty: '', dashes: parts[2]!.value };

const firstFileByte = (body: Buffer): number =>
  body.indexOf('image/png\r\n\r\n') + 'image/png\r\n\r\n'.length;

type Behind = (req: Request) => Promise<unknown>;

/** Runs a body parser of Express to its end. */
const parsedBy = (parser: RequestHandler, req: Request): Promise<unknown> =>
  promisify(parser as (req: Request, res: unknown, next: (error?: Error) => void) => void)(req, {});

const throughMulter: Behind = async (req) => {
  await parsedBy(multer({ storage: multer.memoryStorage() }).any(), req);
  const files = req.files as Express.Multer.File[];
  return { body: { ...(req.body as object) }, file: files[0]?.buffer.toString('hex') };
};

const throughBusboy: Behind = async (req) => {
  const body: Record<string, string> = {};
  const file: Buffer[] = [];
  const parser = busboy({ headers: req.headers });
  parser.on('field', (name, value) => (body[name] = value));
  parser.on('file', (_name, stream) => stream.on('data', (chunk: Buffer) => file.push(chunk)));
  req.pipe(parser);
  await once(parser, 'close');
  return { body, file: Buffer.concat(file).toString('hex') };
};

const throughRaw: Behind = async (req) => {
  await parsedBy(express.raw({ type: () => true }), req);
  return (req.body as Buffer).toString('hex');
};

/** Adds up chunks without a parser, on `data` alone: the stream must start to flow by that. */
const throughData: Behind = async (req) => {
  const chunks: Buffer[] = [];
  req.on('data', (chunk: Buffer) => chunks.push(chunk));
  await once(req, 'end');
  return Buffer.concat(chunks).toString('hex');
};

const parsed = {
  body: { ...fieldsBefore, late: 'after the file' },
  file: (parts[3]!.value as Buffer).toString('hex'),
};

interface Seen {
  fields?: Record<string, string>;
  error?: RequestError;
  after?: unknown;
}

let listening: Listening;
let behind: Behind;
let options: FormPrefixOptions;
let before: (req: IncomingMessage) => Promise<void>;
let arrived: IncomingMessage[];
let outcomes: Seen[];

beforeEach(async () => {
  behind = throughRaw;
  options = {};
  before = async () => {};
  arrived = [];
  outcomes = [];
  const app = express();
  app.use(async (req, res) => {
    arrived.push(req);
    const seen: Seen = {};
    await before(req);
    try {
      seen.fields = { ...(await readFormPrefix(req, options)) };
    } catch (error) {
      seen.error = error as RequestError;
    }
    try {
      seen.after = await behind(req);
    } catch (error) {
      seen.after = error;
    }
    outcomes.push(seen);
    res.json({});
  });
  listening = await listen(app);
});

afterEach(() => listening.close());

/** Sends the body in these pieces, each only when the one before it has reached the server's parser. */
async function send(pieces: Buffer[], headers: string[] = [`Content-Type: ${multipart}`]): Promise<Seen> {
  const body = Buffer.concat(pieces);
  const socket = await rawSocket(listening.port);
  const earlier = outcomes.length;
  const head = ['POST / HTTP/1.1', 'Host: x', `Content-Length: ${body.length}`, ...headers].join('\r\n');
  socket.write(`${head}\r\n\r\n`);
  await until(() => arrived.length > earlier, 'the request');
  const { socket: serverSide } = arrived.at(-1)!;
  let expected = serverSide.bytesRead;
  for (const piece of pieces) {
    socket.write(piece);
    expected += piece.length;
    await until(() => serverSide.bytesRead >= expected, 'the piece');
  }
  await until(() => outcomes.length > earlier, 'the outcome');
  socket.destroy();
  return outcomes.at(-1)!;
}

const cut = (body: Buffer, ...at: number[]): Buffer[] =>
  [0, ...at].map((from, index) => body.subarray(from, at[index] ?? body.length));

describe('the body behind readFormPrefix is complete wherever it was cut', () => {
  const body = formBody(boundary, parts);
  const cases: [string, Behind, unknown][] = [
    ['multer', throughMulter, parsed],
    ['busboy', throughBusboy, parsed],
    ['express.raw', throughRaw, body.toString('hex')],
    ['data events', throughData, body.toString('hex')],
  ];
  test.each(cases)('%s, at every byte', async (_name, how, expected) => {
    behind = how;
    for (let at = 1; at < body.length; at += 1) {
      expect(await send(cut(body, at))).toEqual({ fields: fieldsBefore, after: expected });
    }
  });

  test('any fields, any cuts', async () => {
    behind = throughBusboy;
    const field = fc.record({
      name: fc.stringMatching(/^[a-z]{1,8}$/),
      value: fc.string({ unit: 'grapheme', maxLength: 40 }),
    });
    await fc.assert(
      fc.asyncProperty(
        fc.array(field, { maxLength: 5 }),
        fc.boolean(),
        fc.array(fc.double({ min: 0, max: 1, noNaN: true }), { maxLength: 4 }),
        async (fields, withFile, cuts) => {
          const form = formBody(boundary, withFile ? [...fields, parts[3]!] : fields);
          const at = cuts.map((cut) => 1 + Math.floor(cut * (form.length - 1))).sort((a, b) => a - b);
          const seen = await send(cut(form, ...new Set(at)));
          const asObject = Object.fromEntries(fields.map(({ name, value }) => [name, value]));
          expect(seen.fields).toEqual(asObject);
          expect(seen.after).toEqual({ body: asObject, file: withFile ? parsed.file : '' });
        },
      ),
      { numRuns: 60 },
    );
  });
});

test.each([
  ['fields only', parts.slice(0, 2)],
  ['a file too', parts],
])('called when the whole form has arrived: %s', async (_name, some) => {
  before = (req) => until(() => req.complete);
  behind = throughBusboy;
  const seen = await send([formBody(boundary, some)]);
  expect(seen.fields).toMatchObject({ params: fieldsBefore.params, empty: '' });
  expect(seen.after).toMatchObject({ body: seen.fields, file: some === parts ? parsed.file : '' });
});

test('stops at the first file: the rest of the body need not have come', async () => {
  behind = async () => 'not read';
  const body = formBody(boundary, parts);
  const file = firstFileByte(body);
  const socket = await rawSocket(listening.port);
  socket.write(
    `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${multipart}\r\nContent-Length: 99999999\r\n\r\n`,
  );
  socket.write(body.subarray(0, file + 1));
  await until(() => outcomes.length === 1);
  expect(outcomes[0]).toEqual({ fields: fieldsBefore, after: 'not read' });
  socket.destroy();
});

test('a large file behind the fields stays complete, with backpressure', async () => {
  const file = Buffer.alloc(3 * 1024 * 1024, 'x');
  behind = throughData;
  const body = formBody(boundary, [parts[0]!, { name: 'f', value: file, filename: 'x', type: 'a/b' }]);
  const seen = await send([body]);
  expect(seen.fields).toEqual({ params: fieldsBefore.params });
  expect((seen.after as string).length).toBe(2 * body.length);
});

test.each([
  ['quoted', `multipart/form-data; boundary="${boundary}"`, boundary],
  ['unquoted', 'multipart/form-data; boundary=plain-0123', 'plain-0123'],
  ['after another parameter, odd case', `Multipart/Form-Data; charset=utf-8; Boundary="a:b=c"`, 'a:b=c'],
])('a boundary that is %s', async (_name, type, used) => {
  const body = formBody(
    used,
    parts.filter(({ name }) => name !== 'dashes'),
  );
  const seen = await send([body], [`Content-Type: ${type}`]);
  expect(seen).toEqual({ fields: { params: fieldsBefore.params, empty: '' }, after: body.toString('hex') });
});

test('a field named __proto__ is a field, and the last of two with one name stays', async () => {
  const body = formBody(boundary, [
    { name: '__proto__', value: 'x' },
    { name: 'a', value: '1' },
    { name: 'a', value: '2' },
  ]);
  const seen = await send([body]);
  expect(Object.entries(seen.fields!)).toEqual([
    ['__proto__', 'x'],
    ['a', '2'],
  ]);
});

test('chunked transfer, and a request without a body', async () => {
  const body = formBody(boundary, parts);
  const socket = await rawSocket(listening.port);
  const head = `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${multipart}\r\n`;
  const chunks = cut(body, 7, 50, 51).map(
    (piece) => `${piece.length.toString(16)}\r\n${piece.toString('latin1')}\r\n`,
  );
  socket.write(`${head}Transfer-Encoding: chunked\r\n\r\n${chunks.join('')}0\r\n\r\n`, 'latin1');
  await until(() => outcomes.length === 1);
  expect(outcomes[0]).toEqual({ fields: fieldsBefore, after: body.toString('hex') });
  behind = async () => 'nothing';
  socket.write(`${head}\r\n`);
  await until(() => outcomes.length === 2);
  expect(outcomes[1]).toEqual({ fields: {}, after: 'nothing' });
  socket.destroy();
});

test('another content type is not touched', async () => {
  const seen = await send([Buffer.from('{"a":1}')], ['Content-Type: application/json']);
  expect(seen).toEqual({ fields: {}, after: Buffer.from('{"a":1}').toString('hex') });
});

test('asked twice it answers the same, also after the body was read', async () => {
  behind = async (req) => [await throughMulter(req), await readFormPrefix(req)];
  const seen = await send([formBody(boundary, parts)]);
  expect(seen.after).toEqual([parsed, fieldsBefore]);
});

describe('what can go wrong has a code, and the body is put back', () => {
  const long = formBody(boundary, [{ name: 'a', value: 'x'.repeat(3_000) }, parts[3]!]);
  // The blank line before the file could be the start of a boundary, so it takes the file's first byte to know.
  const enough = firstFileByte(long) + 1;

  test('more than maxBytes before the first file, and exactly as much', async () => {
    options = { maxBytes: enough - 1 };
    const over = await send([long]);
    expect(over.error).toMatchObject({ code: 'FORM_PREFIX_TOO_LARGE', status: 413 });
    expect(over.after).toBe(long.toString('hex'));
    options = { maxBytes: enough };
    expect((await send([long])).fields).toEqual({ a: 'x'.repeat(3_000) });
  });

  test('a form without files of exactly maxBytes, and of one byte more', async () => {
    const form = formBody(boundary, [{ name: 'a', value: 'b' }]);
    options = { maxBytes: form.length };
    expect((await send([form])).fields).toEqual({ a: 'b' });
    options = { maxBytes: form.length - 1 };
    expect((await send([form])).error).toMatchObject({ code: 'FORM_PREFIX_TOO_LARGE' });
  });

  test.each([
    ['no boundary', 'multipart/form-data', long],
    ['not a form at all', multipart, Buffer.from('hello')],
    ['cut short', multipart, long.subarray(0, 500)],
    ['a bad part header', multipart, Buffer.from(`--${boundary}\r\nbad header\r\n\r\nx\r\n--${boundary}--`)],
  ])('malformed: %s', async (_name, type, body) => {
    const seen = await send([body], [`Content-Type: ${type}`]);
    expect(seen.error).toMatchObject({ code: 'MALFORMED_BODY', status: 400 });
    expect(seen.after).toBe(body.toString('hex'));
  });

  test('compressed', async () => {
    behind = throughData;
    const seen = await send([long], [`Content-Type: ${multipart}`, 'Content-Encoding: gzip']);
    expect(seen.error).toMatchObject({ code: 'UNSUPPORTED_ENCODING', status: 415 });
    expect(seen.after).toBe(long.toString('hex'));
  });

  test('a client that stalls; what comes later still reaches the parser', async () => {
    options = { timeout: 40 };
    behind = throughRaw;
    const socket = await rawSocket(listening.port);
    socket.write(
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${multipart}\r\nContent-Length: ${long.length}\r\n\r\n`,
    );
    socket.write(long.subarray(0, 100));
    await until(() => arrived[0]?.listenerCount('end') !== undefined && arrived[0].listenerCount('data') > 0);
    expect(outcomes).toEqual([]);
    socket.write(long.subarray(100));
    await until(() => outcomes.length === 1);
    expect(outcomes[0]!.error).toMatchObject({ code: 'UPLOAD_TIMEOUT', status: 408 });
    expect(outcomes[0]!.after).toBe(long.toString('hex'));
    socket.destroy();
  });

  test('a client that goes away, before and while it is read', async () => {
    behind = async (req) => req.listenerCount('readable') + req.listenerCount('close');
    const socket = await rawSocket(listening.port);
    socket.write(
      `POST / HTTP/1.1\r\nHost: x\r\nContent-Type: ${multipart}\r\nContent-Length: ${long.length}\r\n\r\n`,
    );
    socket.write(long.subarray(0, 100));
    await until(() => arrived.length === 1);
    socket.destroy();
    await until(() => outcomes.length === 1);
    expect(outcomes[0]!.error).toMatchObject({ code: 'UPLOAD_ABORTED', status: 400 });
    // The same request again, now that it is gone, is remembered; a fresh one that is gone already is told apart.
    await expect(readFormPrefix(arrived[0]!)).rejects.toMatchObject({ code: 'UPLOAD_ABORTED' });
  });

  test('after a parser', async () => {
    let late: unknown;
    options = {};
    const app = express();
    app.use(express.raw({ type: () => true }), async (req, res) => {
      late = await readFormPrefix(req).catch((error: unknown) => error);
      res.json({});
    });
    const other = await listen(app);
    await fetch(other.url, {
      method: 'POST',
      body: new Uint8Array(long),
      headers: { 'Content-Type': multipart },
    });
    expect(late).toMatchObject({ code: 'BODY_ALREADY_READ', status: 500 });
    await other.close();
  });

  test('a wrong option is found at once', () => {
    expect(() => readFormPrefix({} as IncomingMessage, { maxBites: 1 } as never)).toThrow(
      /did you mean 'maxBytes'/,
    );
  });
});
