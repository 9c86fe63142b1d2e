import { execFileSync } from 'node:child_process';
import {
  copyFileSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from 'node:fs';
import { builtinModules } from 'node:module';
import { join } from 'node:path';
import { build } from 'esbuild';

const root = join(__dirname, '../..');
const bin = (name: string) => join(root, 'node_modules/.bin', name);
const run = (command: string, args: string[], cwd: string): string => {
  try {
    return execFileSync(command, args, { cwd, encoding: 'utf8', stdio: ['ignore', 'pipe', 'pipe'] });
  } catch (error) {
    const { stdout, stderr } = error as { stdout: string; stderr: string };
    throw new Error(`${command} ${args.join(' ')} failed:\n${stdout}\n${stderr}`, { cause: error });
  }
};

// A consumer inside the repository finds the peers and dependencies in its node_modules; the package itself it has from
// the tarball alone.
let consumer: string;
let tarball: string;

beforeAll(() => {
  const scratch = join(root, 'node_modules/.cache');
  mkdirSync(scratch, { recursive: true });
  consumer = mkdtempSync(join(scratch, 'consumer-'));
  // Without one the package's name would lead to the repository, whose folder this is in.
  writeFileSync(join(consumer, 'package.json'), '{}');
  run('npm', ['run', 'build', '--silent'], root);
  const [packed] = JSON.parse(
    run('npm', ['pack', '--json', '--ignore-scripts', '--pack-destination', consumer], root),
  ) as [{ filename: string }];
  tarball = join(consumer, packed.filename);
  const installed = join(consumer, 'node_modules/express-job-limits');
  mkdirSync(installed, { recursive: true });
  run('tar', ['-xzf', tarball, '--strip-components=1', '-C', installed], root);
}, 120_000);

afterAll(() => rmSync(consumer, { recursive: true, force: true }));

const manifest = JSON.parse(readFileSync(join(root, 'package.json'), 'utf8')) as {
  exports: Record<string, unknown>;
  dependencies: Record<string, string>;
};
const subpaths = Object.keys(manifest.exports).filter((path) => path !== './package.json');
const nameOf = (subpath: string): string => join('express-job-limits', subpath);

it.each(subpaths)('%s is imported and required, and both get the same things', (subpath) => {
  writeFileSync(
    join(consumer, 'both.mjs'),
    `import { createRequire } from 'node:module';
     import * as imported from '${nameOf(subpath)}';
     const required = createRequire(import.meta.url)('${nameOf(subpath)}');
     const names = Object.keys(required).filter((name) => name !== '__esModule');
     for (const name of names) {
       if (typeof imported[name] !== typeof required[name]) throw new Error(name + ' is missing');
       // The client has a build for each, so that bundlers can leave out what isn't used.
       if ('${subpath}' !== './client' && imported[name] !== required[name]) throw new Error(name + ' differs');
     }
     console.log(names.length);`,
  );
  expect(Number(run(process.execPath, ['both.mjs'], consumer))).toBeGreaterThan(0);
});

it('a job is admitted by the packed build', () => {
  writeFileSync(
    join(consumer, 'use.cjs'),
    `const { MemoryStore, creationRate } = require('express-job-limits');
     const handler = creationRate({ store: new MemoryStore(), customer: () => 'acme', limit: 0, window: '1m', responses: 'next' });
     handler({ method: 'POST', headers: {} }, { headersSent: false, setHeader() {}, on() {} }, (error) => console.log(error.code));`,
  );
  expect(run(process.execPath, ['use.cjs'], consumer).trim()).toBe('LIMIT_BLOCKED');
});

it('a worker that has no Express uses the packed build', () => {
  copyFileSync(join(root, '__tests__/jobs/worker-without-express.cjs'), join(consumer, 'worker.cjs'));
  const output = run(process.execPath, ['worker.cjs', 'express-job-limits'], consumer);
  expect(JSON.parse(output)).toMatchObject({ deleted: ['one'], express: false });
});

it.each([
  ['node16', 'node16', 'commonjs'],
  ['node16', 'node16', 'module'],
  ['nodenext', 'nodenext', 'module'],
  ['esnext', 'bundler', 'module'],
])('types are found with module %s, resolution %s, type %s', (module, moduleResolution, type) => {
  writeFileSync(join(consumer, 'package.json'), JSON.stringify({ type }));
  writeFileSync(
    join(consumer, 'types.ts'),
    `import { jobLimits, type JobLimits, type JobRef } from 'express-job-limits';
     import { followQueue, followWorker } from 'express-job-limits/bullmq';
     import { storeContract } from 'express-job-limits/testing';
     import type { Queue, QueueEvents, Worker } from 'bullmq';
     import type { RequestHandler } from 'express';
     const limits: JobLimits = jobLimits({ customer: (req) => req.get('x'), plans: { free: { creationRate: { limit: 1, window: '1m' } } } });
     export const handler: RequestHandler = limits.admission();
     export const finish = (ref: JobRef): Promise<'finished' | 'unsettled' | 'already' | 'refunded' | 'unknown'> => limits.finish(ref, { state: 'completed' });
     // @ts-expect-error there is no such state
     export const wrong = (ref: JobRef) => limits.finish(ref, { state: 'done' });
     export const follow = (queue: Queue<{ file: string }, number>, queueEvents: QueueEvents, worker: Worker<{ file: string }>) => {
       followWorker({ lifecycle: limits, worker });
       return followQueue({ lifecycle: limits, queueEvents, queue, units: ({ ref }) => ({ files: ref.id.length }) });
     };
     export { storeContract };`,
  );
  // Checking the libraries' types too takes most of the time; once is enough.
  const skipLibCheck = type === 'module';
  const compilerOptions = {
    skipLibCheck,
    strict: true,
    noEmit: true,
    types: ['node'],
    target: 'es2022',
    module,
    moduleResolution,
  };
  writeFileSync(join(consumer, 'tsconfig.json'), JSON.stringify({ compilerOptions, files: ['types.ts'] }));
  run(bin('tsc'), ['-p', 'tsconfig.json'], consumer);
});

it('bundled for a page the client is there once, as ES modules, whether it is imported or required', async () => {
  const main = join(consumer, 'page.mjs');
  writeFileSync(
    join(consumer, 'required.cjs'),
    `module.exports = require('express-job-limits/client').LimitError;`,
  );
  writeFileSync(
    main,
    `import { LimitError } from 'express-job-limits/client';
     import required from './required.cjs';
     globalThis.same = required === LimitError;`,
  );
  const { metafile } = await build({
    entryPoints: [main],
    bundle: true,
    platform: 'browser',
    metafile: true,
    write: false,
  });
  const files = Object.keys(metafile.inputs).filter((file) => file.includes('express-job-limits'));
  expect(files.length).toBeGreaterThan(0);
  for (const file of files) expect(file).toContain('/dist/client-esm/');
});

it('publint and attw have nothing to say', () => {
  run(bin('publint'), [tarball, '--strict'], root);
  run(bin('attw'), [tarball, '--profile', 'node16'], root);
}, 60_000);

it('the build requires nothing but its dependencies, and each of those', () => {
  const required = new Set<string>();
  const dist = join(consumer, 'node_modules/express-job-limits/dist');
  for (const file of readdirSync(dist, { recursive: true, encoding: 'utf8' })) {
    if (!file.endsWith('.js')) continue;
    for (const [, name] of readFileSync(join(dist, file), 'utf8').matchAll(
      /require\(["']([^."'][^"']*)["']\)/g,
    )) {
      if (!name!.startsWith('node:') && !builtinModules.includes(name!)) required.add(name!);
    }
  }
  // Express is the host's, and the one peer that is always there. OpenTelemetry's API is asked for, and may be missing.
  const peers = ['express', '@opentelemetry/api'];
  expect([...required].sort()).toEqual([...Object.keys(manifest.dependencies), ...peers].sort());
});
