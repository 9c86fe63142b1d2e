import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { availableParallelism, tmpdir } from 'node:os';
import { join } from 'node:path';
import { monitorEventLoopDelay } from 'node:perf_hooks';
import { Readable, Writable } from 'node:stream';
import { pipeline } from 'node:stream/promises';
import { createGunzip, createInflateRaw, deflateRawSync, gzipSync } from 'node:zlib';
import { BlobReader, ZipReader } from '@zip.js/zip.js';
import { extract } from 'tar-stream';
import { fromBufferPromise, openPromise } from 'yauzl';
import { closeArchiveWorkers, inspectArchive, type ArchiveLimits } from '../lib/uploads/archives/index.js';
import { hostileArchives } from '../__tests__/support/hostile-archives.js';
import { writeTar } from '../__tests__/support/tar-writer.js';
import { writeZip } from '../__tests__/support/zip-writer.js';

// npm run bench -- archives: listing against yauzl and zip.js, inflating against bare zlib, and what attacks cost.
// yauzl, zip.js and tar-stream only list; inspecting also reads every local header and decodes every entry.
const MIB = 1024 * 1024;
const ROUNDS = 3;
const LIMITS: ArchiveLimits = {
  maxEntries: 500_000,
  maxUncompressed: '100gb',
  maxRatio: 1e6,
  maxInspect: '5m',
};

const folder = mkdtempSync(join(tmpdir(), 'archives-bench-'));
const version = (name: string): string =>
  (
    JSON.parse(readFileSync(join(__dirname, '..', 'node_modules', name, 'package.json'), 'utf8')) as {
      version: string;
    }
  ).version;

type Contender = [name: string, run: () => Promise<unknown>];

interface Cost {
  wall: number;
  cpu: number;
}

/** The middle one of some rounds, the contenders taking turns; wall time, and CPU time of all threads. */
async function compare(title: string, contenders: Contender[]): Promise<void> {
  const costs = contenders.map((): Cost[] => []);
  for (let round = 0; round <= ROUNDS; round += 1) {
    for (const [index, [, run]] of contenders.entries()) {
      globalThis.gc?.();
      const start = performance.now();
      const before = process.cpuUsage();
      await run();
      const { user, system } = process.cpuUsage(before);
      // The first round warms up.
      if (round > 0) costs[index]?.push({ wall: performance.now() - start, cpu: (user + system) / 1000 });
    }
  }
  console.log(`\n${title}`);
  const middle = (list: Cost[], key: keyof Cost): number =>
    list.map((cost) => cost[key]).toSorted((a, b) => a - b)[Math.floor(list.length / 2)] as number;
  const base = middle(costs[0] ?? [], 'wall');
  for (const [index, [name]] of contenders.entries()) {
    const wall = middle(costs[index] ?? [], 'wall');
    const cpu = middle(costs[index] ?? [], 'cpu')
      .toFixed(0)
      .padStart(6);
    console.log(
      `  ${name.padEnd(42)} ${wall.toFixed(0).padStart(6)} ms ${cpu} ms CPU  × ${(wall / base).toFixed(2)}`,
    );
  }
}

async function accepted(archive: string | Buffer): Promise<void> {
  const outcome = await inspectArchive(archive, LIMITS);
  if (!outcome.ok) throw new Error(`${outcome.code} ${outcome.entry ?? ''}`);
}

function save(name: string, bytes: Buffer): string {
  const path = join(folder, name);
  writeFileSync(path, bytes);
  return path;
}

const sink = (): Writable => new Writable({ write: (_chunk, _encoding, done) => done() });

async function yauzlLists(zip: Awaited<ReturnType<typeof openPromise>>): Promise<void> {
  for await (const entry of zip.eachEntry()) if (entry.fileName === '') throw new Error('no name');
}

async function manyEntries(): Promise<void> {
  const names = Array.from({ length: 100_000 }, (_, index) => `folder-${index % 100}/file-${index}.txt`);
  const zip64 = { zip64: {}, end: { entries: 0xffff, entriesHere: 0xffff } };
  const kinds: [string, Buffer][] = [
    [
      'empty, stored',
      writeZip(
        names.map((name) => ({ name, method: 0 })),
        zip64,
      ),
    ],
    [
      'of 40 bytes, deflated',
      writeZip(
        names.map((name) => ({ name, data: `the content of a small file, ${name}` })),
        zip64,
      ),
    ],
  ];
  for (const [index, [kind, bytes]] of kinds.entries()) {
    const path = save(`many-${index}.zip`, bytes);
    await compare(`100,000 entries, ${kind} (${(bytes.length / MIB).toFixed(1)} MiB)`, [
      ['inspectArchive, file', () => accepted(path)],
      [`yauzl ${version('yauzl')}, file, lists only`, async () => yauzlLists(await openPromise(path))],
      [
        `yauzl ${version('yauzl')}, buffer, lists only`,
        async () => yauzlLists(await fromBufferPromise(bytes)),
      ],
      [
        `zip.js ${version('@zip.js/zip.js')}, lists only`,
        async () => new ZipReader(new BlobReader(new Blob([Uint8Array.from(bytes)]))).getEntries(),
      ],
    ]);
  }
  const tar = writeTar(names.map((name) => ({ name, data: name })));
  const tarPath = save('many.tar', tar);
  await compare(`100,000 entries, tar (${(tar.length / MIB).toFixed(1)} MiB)`, [
    ['inspectArchive, file', () => accepted(tarPath)],
    [
      `tar-stream ${version('tar-stream')}, buffer, lists only`,
      async () => {
        for await (const entry of Readable.from([tar]).pipe(extract())) entry.resume();
      },
    ],
  ]);
}

/** Text that packs about as well as people's does: to a third. */
function textOf(bytes: number): Buffer {
  const words = Array.from({ length: 4096 }, (_, index) =>
    (index * 2_654_435_761).toString(36).slice(0, 2 + (index % 9)),
  );
  const parts: string[] = [];
  let state = 1;
  for (let length = 0; length < bytes;) {
    state = (Math.imul(state, 1_103_515_245) + 12_345) >>> 0;
    const word = words[(state >>> 8) % ((state >>> 4) % 3 === 0 ? 4096 : 128)] as string;
    parts.push(word);
    length += word.length + 1;
  }
  return Buffer.from(parts.join(' ')).subarray(0, bytes);
}

async function inflating(): Promise<void> {
  const text = textOf(256 * MIB);
  const raw = deflateRawSync(text, { level: 6 });
  const path = save('text.zip', writeZip([{ name: 'text', data: text, raw }]));
  const rawPath = save('text.raw', raw);
  const pieces = (file: string): Readable =>
    Readable.from(
      (function* () {
        const bytes = readFileSync(file);
        for (let at = 0; at < bytes.length; at += 256 * 1024) yield bytes.subarray(at, at + 256 * 1024);
      })(),
    );
  await compare(`inflating 256 MiB of text from ${(raw.length / MIB).toFixed(0)} MiB`, [
    [
      'bare zlib, chunkSize 256 KiB',
      () => pipeline(pieces(rawPath), createInflateRaw({ chunkSize: 256 * 1024 }), sink()),
    ],
    ['bare zlib, chunkSize as it is', () => pipeline(pieces(rawPath), createInflateRaw(), sink())],
    ['inspectArchive, file', () => accepted(path)],
  ]);
  const gz = gzipSync(writeTar([{ name: 'text', data: text }]), { level: 6 });
  const gzPath = save('text.tar.gz', gz);
  await compare(`gunzipping 256 MiB of text from ${(gz.length / MIB).toFixed(0)} MiB`, [
    [
      'bare zlib, chunkSize 256 KiB',
      () => pipeline(pieces(gzPath), createGunzip({ chunkSize: 256 * 1024 }), sink()),
    ],
    ['inspectArchive, file', () => accepted(gzPath)],
  ]);
  const delay = monitorEventLoopDelay({ resolution: 1 });
  delay.enable();
  await accepted(path);
  delay.disable();
  console.log(
    `  event loop delay meanwhile: p99 ${(delay.percentile(99) / 1e6).toFixed(1)} ms, most ${(delay.max / 1e6).toFixed(1)} ms`,
  );
}

/** What each attack costs, with the default limits and with those of its test. */
async function attacks(): Promise<void> {
  await inspectArchive(Buffer.alloc(0));
  const costs = [];
  for (const { attack, make, limits, code } of hostileArchives) {
    const path = save('attack', make());
    globalThis.gc?.();
    const before = process.memoryUsage().rss;
    let most = before;
    const timer = setInterval(() => (most = Math.max(most, process.memoryUsage().rss)), 2);
    const start = performance.now();
    const outcome = await inspectArchive(path, limits);
    const took = performance.now() - start;
    clearInterval(timer);
    most = Math.max(most, process.memoryUsage().rss);
    if (outcome.ok || outcome.code !== code) throw new Error(`${attack}: ${JSON.stringify(outcome)}`);
    costs.push({ attack, took, grew: most - before });
  }
  const slowest = costs.toSorted((a, b) => b.took - a.took).slice(0, 3);
  const largest = costs.toSorted((a, b) => b.grew - a.grew).slice(0, 3);
  console.log(`\n${costs.length} attacks, all refused`);
  for (const { attack, took } of slowest) console.log(`  slow: ${took.toFixed(0)} ms, ${attack}`);
  for (const { attack, grew } of largest)
    console.log(`  much memory: ${(grew / MIB).toFixed(1)} MiB, ${attack}`);
}

async function bench(): Promise<void> {
  console.log(`Node ${process.version}, ${availableParallelism()} cores`);
  try {
    // First, before anything else has made the process grow.
    await attacks();
    await manyEntries();
    await inflating();
  } finally {
    await closeArchiveWorkers();
    rmSync(folder, { recursive: true });
  }
}

void bench();
