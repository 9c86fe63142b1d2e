import { gunzipSync, gzipSync } from 'node:zlib';
import type { ArchiveLimits } from '../../lib/uploads/archives/limits.js';
import type { ArchiveOutcome } from '../../lib/uploads/archives/inspect.js';
import { archiveStatus } from '../../lib/uploads/archives/refused.js';
import { fixture, fixtureNames, inspect } from './archives.js';
import { hostileArchives } from './hostile-archives.js';
import { tarHeader } from './tar-writer.js';

/** Small, so that an input's work is small and every limit is met. */
const LIMITS: ArchiveLimits = { maxEntries: 200, maxUncompressed: '1mb', maxDepth: 2, maxInspect: '1s' };

const LARGEST_SAMPLE = 48 * 1024;

/** No input may take longer, whatever it is. */
export const LONGEST_MS = 2_000;

export interface Failure {
  index: number;
  why: string;
  input: Buffer;
}

/** Numbers from 0 to 1, the same for the same seed (mulberry32). */
function randomOf(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let value = Math.imul(state ^ (state >>> 15), state | 1);
    value ^= value + Math.imul(value ^ (value >>> 7), value | 61);
    return ((value ^ (value >>> 14)) >>> 0) / 0x1_0000_0000;
  };
}

/** Every archive of the tests that is small enough, hostile ones too. */
export const samples = (): Buffer[] =>
  [...fixtureNames().map(fixture), ...hostileArchives.map(({ make }) => make())].filter(
    (bytes) => bytes.length <= LARGEST_SAMPLE,
  );

const INTERESTING = [
  0, 1, 2, 4, 8, 0x7f, 0x80, 0xff, 0x100, 0x7fff, 0x8000, 0xffff, 0x7fffffff, 0x80000000, 0xffffffff,
];
const MARKS = [
  'PK\x03\x04',
  'PK\x01\x02',
  'PK\x05\x06',
  'PK\x06\x06',
  'PK\x06\x07',
  'PK\x07\x08',
  '\x1f\x8b\x08',
  '../',
  '\0',
  '/',
];

type Mutation = (bytes: Buffer, random: (below: number) => number, all: Buffer[]) => Buffer;

const splice = (bytes: Buffer, at: number, remove: number, insert: Buffer): Buffer =>
  Buffer.concat([bytes.subarray(0, at), insert, bytes.subarray(at + remove)]);

/** A place to change: anywhere, or a field behind one of the marks, where changes matter most. */
function place(bytes: Buffer, random: (below: number) => number): number {
  const mark = MARKS[random(6)] as string;
  const start = random(2) === 0 ? -1 : bytes.indexOf(mark, random(bytes.length), 'latin1');
  return Math.min(bytes.length - 1, start === -1 ? random(bytes.length) : start + random(56));
}

const mutations: Mutation[] = [
  function flipBit(bytes, random) {
    const at = place(bytes, random);
    bytes[at] = (bytes[at] ?? 0) ^ (1 << random(8));
    return bytes;
  },
  function setByte(bytes, random) {
    bytes[place(bytes, random)] = random(256);
    return bytes;
  },
  function setNumber(bytes, random) {
    const value = INTERESTING[random(INTERESTING.length)] as number;
    const at = place(bytes, random);
    if (at + 4 <= bytes.length) bytes.writeUInt32LE(random(2) === 0 ? value : random(bytes.length), at);
    return bytes;
  },
  function setShort(bytes, random) {
    const value = (INTERESTING[random(INTERESTING.length)] as number) & 0xffff;
    const at = place(bytes, random);
    if (at + 2 <= bytes.length) bytes.writeUInt16LE(value, at);
    return bytes;
  },
  function insertMark(bytes, random) {
    return splice(
      bytes,
      place(bytes, random),
      random(2) * 4,
      Buffer.from(MARKS[random(MARKS.length)] as string, 'latin1'),
    );
  },
  function remove(bytes, random) {
    return splice(bytes, place(bytes, random), 1 + random(64), Buffer.alloc(0));
  },
  function repeat(bytes, random) {
    const at = place(bytes, random);
    return splice(bytes, place(bytes, random), 0, bytes.subarray(at, at + 1 + random(512)));
  },
  function cutOff(bytes, random) {
    return bytes.subarray(0, random(bytes.length));
  },
  function join(bytes, random, all) {
    const other = all[random(all.length)] as Buffer;
    return Buffer.concat([bytes.subarray(0, random(bytes.length)), other.subarray(random(other.length))]);
  },
  function tarField(bytes, random) {
    return fixTarHeaders(bytes, random);
  },
];

/** Puts right the checksums of changed tar headers, which otherwise nothing gets past. */
function fixTarHeaders(bytes: Buffer, random: (below: number) => number): Buffer {
  const empty = tarHeader({ name: '' });
  for (let at = 0; at + 512 <= bytes.length; at += 512) {
    const block = bytes.subarray(at, at + 512);
    if (block.indexOf('ustar', 257) !== 257) continue;
    block[random(2) === 0 ? 124 + random(12) : random(160)] = random(256);
    empty.copy(block, 148, 148, 156);
    block.write('        ', 148, 'latin1');
    const sum = block.reduce((total, byte) => total + byte, 0);
    block.write(`${sum.toString(8).padStart(6, '0')}\0 `, 148, 'latin1');
  }
  return bytes;
}

/** The input of this index: the same for the same seed and samples. */
export function inputOf(seed: number, index: number, all: Buffer[]): Buffer {
  const next = randomOf(Math.imul(seed, 0x9e3779b1) + index);
  const random = (below: number): number => Math.floor(next() * below);
  const sample = all[random(all.length)] as Buffer;
  const unpacked = sample[0] === 0x1f && random(4) > 0 ? unpack(sample) : undefined;
  let bytes = Buffer.from(unpacked ?? sample);
  for (let count = 1 + random(4); count > 0 && bytes.length > 0; count -= 1) {
    const mutate = mutations[random(mutations.length)] as Mutation;
    bytes = Buffer.from(mutate(bytes, random, all));
  }
  return unpacked === undefined ? bytes : gzipSync(bytes, { level: 1 });
}

function unpack(bytes: Buffer): Buffer | undefined {
  try {
    return gunzipSync(bytes, { maxOutputLength: LARGEST_SAMPLE });
  } catch {
    return undefined;
  }
}

/** Inspects one input and says what is wrong with how that went, if anything is. */
export async function tryInput(
  seed: number,
  index: number,
  all: Buffer[],
): Promise<{ outcome?: ArchiveOutcome; failure?: Failure }> {
  const input = inputOf(seed, index, all);
  const failed = (why: string): { failure: Failure } => ({ failure: { index, why, input } });
  const start = performance.now();
  let outcome: ArchiveOutcome;
  try {
    outcome = await inspect(input, { ...LIMITS, mode: index % 2 === 0 ? 'strict' : 'lenient' });
  } catch (error) {
    return failed(error instanceof Error ? (error.stack ?? error.message) : String(error));
  }
  const took = performance.now() - start;
  if (took > LONGEST_MS) return failed(`took ${Math.round(took)} ms`);
  if (!outcome.ok && !(outcome.code in archiveStatus)) return failed(`unknown code ${String(outcome.code)}`);
  return { outcome };
}
