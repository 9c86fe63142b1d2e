import { execFile, spawn } from 'node:child_process';
import { once } from 'node:events';
import { existsSync } from 'node:fs';
import { mkdir, mkdtemp, readdir, rm, utimes, writeFile } from 'node:fs/promises';
import { hostname, tmpdir } from 'node:os';
import { join } from 'node:path';
import { promisify } from 'node:util';
import { ownTempDir, removeLeftovers } from '../../lib/uploads/temp-dir.js';

// A slow machine is no failure.
jest.setTimeout(30_000);

let parent: string;
beforeEach(async () => (parent = await mkdtemp(join(tmpdir(), 'temp-dir-test-'))));
afterEach(() => rm(parent, { recursive: true, force: true }));

/** A program that keeps a file, says so, and then does `ending`. */
const program = (ending: string): string[] => [
  '--import',
  'tsx',
  '-e',
  `const { ownTempDir } = require(${JSON.stringify(join(__dirname, '../../lib/uploads/temp-dir.ts'))});
   ownTempDir(${JSON.stringify(parent)}).then((dir) => {
     require('node:fs').writeFileSync(dir + '/file', 'x');
     process.stdout.write('kept');
     ${ending};
   });`,
];

test('a process has one directory of its own, made once', async () => {
  const [first, second] = await Promise.all([ownTempDir(parent), ownTempDir(parent)]);
  expect(first).toBe(second);
  expect(await readdir(parent)).toHaveLength(1);
});

test('another copy of the package in this process leaves it alone', async () => {
  const own = await ownTempDir(parent);
  let other: typeof import('../../lib/uploads/temp-dir.js');
  jest.isolateModules(() => {
    // eslint-disable-next-line @typescript-eslint/no-require-imports
    other = require('../../lib/uploads/temp-dir.js') as typeof other;
  });
  expect(await other!.ownTempDir(parent)).not.toBe(own);
  expect(existsSync(own)).toBe(true);
});

test('it goes when the process exits by itself', async () => {
  const { stdout } = await promisify(execFile)(process.execPath, program('process.exit(0)'));
  expect(stdout).toBe('kept');
  expect(await readdir(parent)).toEqual([]);
});

test('what a killed process left goes at the next start, what a living one holds stays', async () => {
  const running = ['killed', 'living'].map(() =>
    spawn(process.execPath, program('setInterval(() => {}, 1000)')),
  );
  await Promise.all(running.map((child) => once(child.stdout, 'data')));
  const [killed, living] = running;
  killed!.kill('SIGKILL');
  await once(killed!, 'exit');
  expect(await readdir(parent)).toHaveLength(2);
  const own = await ownTempDir(parent);
  const left = (await readdir(parent)).map((name) => join(parent, name));
  expect(left).toHaveLength(2);
  expect(left).toContain(own);
  expect(left.some((dir) => dir !== own && existsSync(join(dir, 'file')))).toBe(true);
  living!.kill('SIGKILL');
  await once(living!, 'exit');
});

test('a restarted container has the same pid; another host shows by its heartbeat; strangers are left alone', async () => {
  const old = new Date(Date.now() - 3_600_000);
  const make = async (name: string, touched = new Date()): Promise<string> => {
    const dir = join(parent, name);
    await mkdir(dir);
    await writeFile(join(dir, 'file'), 'x');
    await utimes(dir, touched, touched);
    return name;
  };
  const host = hostname().replace(/[^\w.-]/g, '_');
  await make(`job-limits-${host}-${process.pid}-0123456789ab`);
  await make('job-limits-other-host-1-0123456789ab', old);
  const stays = [
    await make('job-limits-other-host-2-0123456789ab'),
    await make('job-limits-not-ours', old),
    await make('anything', old),
  ];
  await removeLeftovers(parent);
  expect((await readdir(parent)).sort()).toEqual(stays.sort());
});

test('a directory that could not be made is tried again', async () => {
  const blocked = join(parent, 'blocked');
  await writeFile(blocked, 'a file');
  await expect(ownTempDir(blocked)).rejects.toThrow();
  await rm(blocked);
  expect(existsSync(await ownTempDir(blocked))).toBe(true);
});
