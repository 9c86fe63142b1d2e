import { execFile } from 'node:child_process';
import { existsSync } from 'node:fs';
import { mkdtemp, mkdir, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { gzipSync } from 'node:zlib';
import { ConfigError } from '../../../lib/errors.js';
import { closeArchiveWorkers, inspectArchive } from '../../../lib/uploads/archives/index.js';
import { fixture, fixtures, inspect } from '../../support/archives.js';
import { hostileArchives } from '../../support/hostile-archives.js';
import { writeTar } from '../../support/tar-writer.js';
import { writeZip } from '../../support/zip-writer.js';

const run = promisify(execFile);
const MIB = 1024 * 1024;
const ROOT = join(__dirname, '..', '..', '..');

let folder: string;
let ownTemp: string | undefined;

beforeAll(async () => {
  folder = await mkdtemp(join(tmpdir(), 'archives-test-'));
  ownTemp = process.env['TMPDIR'];
  // Whatever the inspections leave behind is found here, and nobody else's.
  process.env['TMPDIR'] = join(folder, 'temp');
  await mkdir(process.env['TMPDIR']);
});

afterAll(async () => {
  await closeArchiveWorkers();
  if (ownTemp === undefined) delete process.env['TMPDIR'];
  else process.env['TMPDIR'] = ownTemp;
  await rm(folder, { recursive: true });
});

const leftBehind = (): Promise<string[]> => readdir(join(folder, 'temp'));

async function saved(bytes: Buffer): Promise<string> {
  const path = join(folder, `archive-${Math.random()}`);
  await writeFile(path, bytes);
  return path;
}

test('an archive is inspected by path, as a buffer, and as a part of a larger buffer', async () => {
  const accepted = { ok: true, format: 'zip', entries: 9, uncompressedBytes: expect.any(Number) as number };
  expect(await inspectArchive(join(fixtures, 'infozip.zip'))).toEqual(accepted);
  const bytes = fixture('infozip.zip');
  expect(await inspectArchive(bytes)).toEqual(accepted);
  const larger = Buffer.concat([Buffer.alloc(100, 1), bytes, Buffer.alloc(100, 1)]);
  expect(await inspectArchive(larger.subarray(100, 100 + bytes.length))).toEqual(accepted);
});

test('a large buffer goes through a file, which is gone afterwards', async () => {
  const bytes = writeZip([{ name: 'large', data: Buffer.alloc(10 * MIB, 'content'), method: 0 }]);
  expect(await inspectArchive(bytes)).toMatchObject({ ok: true, entries: 1, uncompressedBytes: 10 * MIB });
  expect(await leftBehind()).toEqual([]);
});

test('a large nested archive leaves no file behind, accepted or refused', async () => {
  const large = { name: 'large', data: Buffer.alloc(6 * MIB, 'content'), method: 0 };
  const good = writeZip([{ name: 'a.zip', data: writeZip([large]), method: 0 }]);
  const bad = writeZip([{ name: 'a.zip', data: writeZip([large, { name: '../b' }]), method: 0 }]);
  expect(await inspectArchive(await saved(good))).toMatchObject({ ok: true });
  expect(await inspectArchive(await saved(bad))).toMatchObject({
    code: 'ARCHIVE_PATH_TRAVERSAL',
    entry: 'a.zip/../b',
  });
  expect(await leftBehind()).toEqual([]);
});

test('what a killed process left behind is removed after a day', async () => {
  const old = join(folder, 'temp', 'express-job-limits-archive-old');
  const fresh = join(folder, 'temp', 'express-job-limits-archive-fresh');
  const others = join(folder, 'temp', 'of-another-program');
  for (const path of [old, fresh, others]) await mkdir(path);
  const longAgo = Date.now() / 1000 - 2 * 86_400;
  for (const path of [old, others]) await utimes(path, longAgo, longAgo);
  const script = `require('express-job-limits-under-test').inspectArchive(Buffer.alloc(0)).then(() => undefined)`;
  await inBuilt(script);
  expect(existsSync(old)).toBe(false);
  expect([existsSync(fresh), existsSync(others)]).toEqual([true, true]);
  await rm(fresh, { recursive: true });
  await rm(others, { recursive: true });
}, 30_000);

test('every attack is a value in the worker too, the same as in this thread', async () => {
  const differing = [];
  for (const { attack, make, limits } of hostileArchives) {
    const bytes = make();
    const [byPath, here] = [await inspectArchive(await saved(bytes), limits), await inspect(bytes, limits)];
    if (JSON.stringify(byPath) !== JSON.stringify(here)) differing.push({ attack, byPath, here });
  }
  expect(differing).toEqual([]);
  expect(await leftBehind()).toEqual([]);
}, 60_000);

test('an inspection ends when its time is over', async () => {
  const pieces = Array.from({ length: 64 }, (_, index) => ({
    name: `${index}`,
    data: Buffer.alloc(MIB, `${index}`),
  }));
  const outcome = await inspectArchive(gzipSync(writeTar(pieces)), { maxInspect: 1, maxRatio: 1e6 });
  expect(outcome).toEqual({
    ok: false,
    code: 'ARCHIVE_INSPECTION_TIMEOUT',
    message: 'the archive takes too long to inspect',
    limit: 'max-inspect',
    allowed: 0.001,
  });
});

test('more archives than workers wait for one another', async () => {
  const bytes = fixture('infozip.zip');
  const outcomes = await Promise.all(Array.from({ length: 20 }, () => inspectArchive(bytes)));
  expect(outcomes.filter(({ ok }) => ok)).toHaveLength(20);
});

test('the event loop goes on while an archive is inspected', async () => {
  const bytes = writeZip([{ name: 'large', data: Buffer.alloc(64 * MIB, 'content') }]);
  const path = await saved(bytes);
  let turns = 0;
  const turn = (): void => {
    turns += 1;
    timer = setImmediate(turn);
  };
  let timer = setImmediate(turn);
  const outcome = await inspectArchive(path, { maxRatio: 1e6 });
  clearImmediate(timer);
  expect(outcome).toMatchObject({ ok: true });
  // Inspected in this thread, pieces of it would leave room for fewer turns than there are pieces.
  expect(turns).toBeGreaterThan((64 * MIB) / (256 * 1024));
});

test('a path that cannot be read is an error of the file system, not a refusal', async () => {
  await expect(inspectArchive(join(folder, 'nothing'))).rejects.toMatchObject({ code: 'ENOENT' });
  await expect(inspectArchive(folder)).rejects.toMatchObject({ code: 'EISDIR' });
});

test('wrong limits are told before anything is read', async () => {
  await expect(inspectArchive(join(folder, 'nothing'), { maxEntries: -1 })).rejects.toThrow(ConfigError);
  await expect(inspectArchive(join(folder, 'nothing'), { maxInspect: '2h' })).rejects.toMatchObject({
    code: 'CONFIG_LIMIT_TOO_LARGE',
  });
  await expect(inspectArchive('', { formats: ['rar' as 'zip'] })).rejects.toMatchObject({
    option: 'inspectArchive.formats[0]',
  });
});

test('what no archive is is not recognised', async () => {
  for (const bytes of [
    Buffer.alloc(0),
    Buffer.from('P'),
    Buffer.from('content'),
    Buffer.alloc(100_000, 'PK'),
  ]) {
    expect(await inspectArchive(bytes)).toMatchObject({ ok: false, code: 'ARCHIVE_NOT_RECOGNISED' });
  }
});

test('the built package inspects in its own worker and lets the process end', async () => {
  const script = `
    const { inspectArchive } = require('express-job-limits-under-test');
    (async () => {
      const good = await inspectArchive(${JSON.stringify(join(fixtures, 'java.jar'))});
      const bad = await inspectArchive(Buffer.from(${JSON.stringify(writeTar([{ name: '../a' }]).toString('base64'))}, 'base64'));
      console.log(JSON.stringify([good.ok, good.format, bad.code]));
    })();`;
  expect(JSON.parse(await inBuilt(script))).toEqual([true, 'zip', 'ARCHIVE_PATH_TRAVERSAL']);
}, 30_000);

/** Runs a script against JavaScript built as for publishing, in a process of its own that must end by itself. */
async function inBuilt(script: string): Promise<string> {
  const built = join(folder, 'node_modules', 'express-job-limits-under-test');
  if (!existsSync(built)) {
    const tsc = join(ROOT, 'node_modules', 'typescript', 'bin', 'tsc');
    const options = ['-p', 'tsconfig.build.json', '--outDir', built, '--noCheck', '--declaration', 'false'];
    await run(process.execPath, [tsc, ...options], { cwd: ROOT });
    await writeFile(join(built, 'package.json'), '{ "main": "uploads/archives/index.js" }');
  }
  const { stdout } = await run(process.execPath, ['-e', script], {
    cwd: folder,
    env: { ...process.env, NODE_PATH: join(ROOT, 'node_modules') },
    timeout: 20_000,
  });
  return stdout;
}
