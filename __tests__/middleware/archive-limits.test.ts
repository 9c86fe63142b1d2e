import { existsSync } from 'node:fs';
import { mkdtemp, readdir, rm } from 'node:fs/promises';
import type { Server } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import express, { type ErrorRequestHandler, type Express, type RequestHandler } from 'express';
import multer from 'multer';
import { ConfigError } from '../../lib/errors.js';
import {
  archiveHandlingChecks,
  archiveLimits,
  archiveLimitsOf,
  archivesOf,
  type ArchiveLimitsOptions,
} from '../../lib/middleware/archive-limits.js';
import { checkOptions } from '../../lib/options.js';
import {
  archiveLimitChecks,
  closeArchiveWorkers,
  type ParsedArchiveLimits,
} from '../../lib/uploads/archives/index.js';
import { expressVersions } from '../support/apps.js';
import { fixture } from '../support/archives.js';
import { writeZip } from '../support/zip-writer.js';

let folder: string;
const servers: Server[] = [];

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'archive-limits-test-'));
});

afterAll(async () => {
  await Promise.all(
    servers.map((server) => new Promise((closed) => server.close(closed).closeAllConnections())),
  );
  await closeArchiveWorkers();
  await rm(folder, { recursive: true });
});

/** An app that answers with what it took, and its address. */
async function serve(handlers: RequestHandler[], make: typeof express = express): Promise<string> {
  const app = make();
  app.post('/', ...handlers, (req, res) => {
    res.json({ archives: archivesOf(req) });
  });
  const onError: ErrorRequestHandler = (error: { code?: string; status?: number }, _req, res, _next) => {
    res.status(error.status ?? 500).json({ passedOn: error.code });
  };
  app.use(onError);
  return listen(app);
}

async function listen(app: Express): Promise<string> {
  const server = app.listen(0, '127.0.0.1');
  servers.push(server);
  await new Promise((listening) => server.once('listening', listening));
  return `http://127.0.0.1:${(server.address() as AddressInfo).port}/`;
}

type File = [field: string, bytes: Buffer, name: string];

async function upload(
  url: string,
  ...files: File[]
): Promise<{ status: number; body: Record<string, unknown>; type: string }> {
  const form = new FormData();
  for (const [field, bytes, name] of files) form.append(field, new Blob([Uint8Array.from(bytes)]), name);
  return read(await fetch(url, { method: 'POST', body: form }));
}

const read = async (
  answer: Response,
): Promise<{ status: number; body: Record<string, unknown>; type: string }> => ({
  status: answer.status,
  body: (await answer.json()) as Record<string, unknown>,
  type: answer.headers.get('content-type') ?? '',
});

const inMemory = multer({ storage: multer.memoryStorage() });
const good = fixture('infozip.zip');
const evil = writeZip([{ name: '../evil', data: 'content' }]);

test.each(expressVersions)(
  '%s: an archive is taken and described, a hostile one is refused',
  async (_, make) => {
    const url = await serve([inMemory.single('input'), archiveLimits()], make);
    expect(await upload(url, ['input', good, 'good.zip'])).toMatchObject({
      status: 200,
      body: { archives: [{ ok: true, format: 'zip', entries: 9, field: 'input', originalName: 'good.zip' }] },
    });
    expect(await upload(url, ['input', evil, 'evil.zip'])).toEqual({
      status: 422,
      type: 'application/json; charset=utf-8',
      body: {
        error: 'ARCHIVE_PATH_TRAVERSAL',
        message: 'An entry has a path that leads out of the archive.',
        info: { field: 'input', entry: '../evil' },
      },
    });
  },
);

test('a limit that was passed is named with what is allowed and what came', async () => {
  const url = await serve([inMemory.single('input'), archiveLimits({ maxEntries: 3 })]);
  expect(await upload(url, ['input', good, 'good.zip'])).toMatchObject({
    status: 413,
    body: {
      error: 'ARCHIVE_TOO_MANY_ENTRIES',
      message: 'The archive has too many entries.',
      info: { limit: 'max-entries', field: 'input', allowed: 3, received: 9 },
    },
  });
});

test('what is no archive passes, unless it calls itself one or others are refused', async () => {
  const picture = Buffer.from('\x89PNG\r\n\x1a\n', 'latin1');
  const url = await serve([inMemory.single('input'), archiveLimits()]);
  expect(await upload(url, ['input', picture, 'picture.png'])).toMatchObject({
    status: 200,
    body: { archives: [] },
  });
  expect(await upload(url, ['input', picture, 'picture.ZIP'])).toMatchObject({
    status: 415,
    body: { error: 'ARCHIVE_NOT_RECOGNISED' },
  });
  const strict = await serve([inMemory.single('input'), archiveLimits({ others: 'refuse' })]);
  expect(await upload(strict, ['input', picture, 'picture.png'])).toMatchObject({ status: 415 });
});

test('formats are told by content: a zip that is called a picture is inspected, other formats are refused by name', async () => {
  const url = await serve([inMemory.single('input'), archiveLimits()]);
  expect(await upload(url, ['input', evil, 'picture.png'])).toMatchObject({ status: 422 });
  expect(await upload(url, ['input', fixture('refused.7z'), 'picture.png'])).toMatchObject({
    status: 415,
    body: {
      error: 'ARCHIVE_FORMAT_UNSUPPORTED',
      message: '7z is not accepted here, only zip, tar, tar.gz.',
    },
  });
});

test('every file of a request is inspected, as multer lists them: one, many, by field', async () => {
  const files: File[] = [
    ['a', good, 'good.zip'],
    ['b', fixture('gnutar.tar.gz'), 'good.tgz'],
  ];
  for (const parser of [inMemory.any(), inMemory.fields([{ name: 'a' }, { name: 'b' }])]) {
    const url = await serve([parser, archiveLimits()]);
    const { body } = await upload(url, ...files);
    expect((body['archives'] as { format: string }[]).map(({ format }) => format)).toEqual(['zip', 'tar.gz']);
    expect(await upload(url, ...files, ['b', evil, 'evil.zip'])).toMatchObject({
      status: 422,
      body: { info: { field: 'b' } },
    });
  }
});

test('files on the disk are inspected there; those of a refused request are removed', async () => {
  const onDisk = multer({ dest: folder });
  const url = await serve([onDisk.array('input'), archiveLimits()]);
  await upload(url, ['input', good, 'good.zip']);
  expect(await readdir(folder)).toHaveLength(1);
  expect(await upload(url, ['input', good, 'good.zip'], ['input', evil, 'evil.zip'])).toMatchObject({
    status: 422,
  });
  expect(await readdir(folder)).toHaveLength(1);
  const keeping = await serve([onDisk.array('input'), archiveLimits({ removeRefused: false })]);
  await upload(keeping, ['input', evil, 'evil.zip']);
  expect(await readdir(folder)).toHaveLength(2);
});

test('a raw body is inspected, and must be an archive where its type says so', async () => {
  const url = await serve([express.raw({ type: () => true, limit: '1mb' }), archiveLimits()]);
  const send = async (body: Buffer, type: string): Promise<number> =>
    (await fetch(url, { method: 'POST', body: Uint8Array.from(body), headers: { 'Content-Type': type } }))
      .status;
  expect(await send(good, 'application/zip')).toBe(200);
  expect(await send(evil, 'application/octet-stream')).toBe(422);
  expect(await send(Buffer.from('content'), 'application/zip')).toBe(415);
  expect(await send(Buffer.from('content'), 'application/octet-stream')).toBe(200);
});

test('requests without files, and those that are skipped, pass', async () => {
  const url = await serve([
    inMemory.single('input'),
    archiveLimits({ skip: (req) => req.headers['x-skip'] === '1' }),
  ]);
  expect((await fetch(url, { method: 'POST' })).status).toBe(200);
  const form = new FormData();
  form.append('input', new Blob([Uint8Array.from(evil)]), 'evil.zip');
  expect((await fetch(url, { method: 'POST', body: form, headers: { 'X-Skip': '1' } })).status).toBe(200);
});

test('answers as all refusals do: problem+json, the error handler, or a function of the host', async () => {
  const problem = await serve([inMemory.single('input'), archiveLimits({ responses: 'problem' })]);
  const answer = await upload(problem, ['input', evil, 'evil.zip']);
  expect(answer.type).toBe('application/problem+json');
  expect(answer.body).toMatchObject({ status: 422, code: 'ARCHIVE_PATH_TRAVERSAL', entry: '../evil' });
  const passing = await serve([inMemory.single('input'), archiveLimits({ responses: 'next' })]);
  expect(await upload(passing, ['input', evil, 'evil.zip'])).toMatchObject({
    status: 422,
    body: { passedOn: 'ARCHIVE_PATH_TRAVERSAL' },
  });
});

test('limits may differ by request, or be none', async () => {
  const limits: Record<string, ParsedArchiveLimits> = {
    free: checkOptions('free', { maxEntries: 1 }, archiveLimitChecks),
    pro: checkOptions('pro', { maxEntries: 100 }, archiveLimitChecks),
  };
  const handling = checkOptions('archiveLimits', {}, archiveHandlingChecks);
  const url = await serve([
    inMemory.single('input'),
    archiveLimitsOf(async (req) => limits[String(req.headers['x-plan'])], handling),
  ]);
  const as = async (plan: string, bytes: Buffer): Promise<number> => {
    const form = new FormData();
    form.append('input', new Blob([Uint8Array.from(bytes)]), 'a.zip');
    return (await fetch(url, { method: 'POST', body: form, headers: { 'X-Plan': plan } })).status;
  };
  expect([await as('free', good), await as('pro', good), await as('none', evil)]).toEqual([413, 200, 200]);
});

test('what fails, fails in the error handler: a lookup of limits, a file that is gone', async () => {
  const handling = checkOptions('archiveLimits', {}, archiveHandlingChecks);
  const failing = await serve([
    inMemory.single('input'),
    archiveLimitsOf(() => Promise.reject(new Error('no plans')), handling),
  ]);
  expect(await upload(failing, ['input', good, 'good.zip'])).toMatchObject({ status: 500 });
  const gone: RequestHandler = (req, _res, next) => {
    Object.assign(req, { file: { path: join(folder, 'gone') } });
    next();
  };
  const url = await serve([gone, archiveLimits()]);
  expect((await fetch(url, { method: 'POST' })).status).toBe(500);
  expect(existsSync(join(folder, 'gone'))).toBe(false);
});

test('wrong options are told when the middleware is made', () => {
  expect(() => archiveLimits({ maxEntrys: 1 } as ArchiveLimitsOptions)).toThrow(/did you mean 'maxEntries'/);
  for (const wrong of [
    { maxRatio: 1 },
    { maxEntries: 500_001 },
    { maxDepth: -1 },
    { maxSize: 0 },
    { mode: 'loose' },
    { maxInspect: '0s' },
    { others: 'x' },
  ])
    expect(() => archiveLimits(wrong as ArchiveLimitsOptions)).toThrow(ConfigError);
});
