import { isTarHeader } from './tar/header.js';
import { endsAsZip } from './zip/end.js';
import { allZero, isZero, type Source } from './source.js';

/** What content can be told to be: formats that are looked into, and the names of others that are refused. */
export type Recognised = 'zip' | 'tar' | 'gz' | { unsupported: string };

/** As many bytes as tell a format: a tar header's block. */
export const HEAD_BYTES = 512;

const magic = (...bytes: number[]): Buffer => Buffer.from(bytes);

const known: [Buffer, Recognised][] = [
  [magic(0x50, 0x4b, 0x03, 0x04), 'zip'],
  [magic(0x50, 0x4b, 0x05, 0x06), 'zip'],
  // The marks of a split archive, also where it came out in one piece.
  [magic(0x50, 0x4b, 0x07, 0x08, 0x50, 0x4b), 'zip'],
  [magic(0x50, 0x4b, 0x30, 0x30, 0x50, 0x4b), 'zip'],
  [magic(0x1f, 0x8b), 'gz'],
  [magic(0xfd, 0x37, 0x7a, 0x58, 0x5a, 0x00), { unsupported: 'xz' }],
  [magic(0x28, 0xb5, 0x2f, 0xfd), { unsupported: 'zstd' }],
  [magic(0x37, 0x7a, 0xbc, 0xaf, 0x27, 0x1c), { unsupported: '7z' }],
  [Buffer.from('Rar!\x1a\x07', 'latin1'), { unsupported: 'rar' }],
  [magic(0x04, 0x22, 0x4d, 0x18), { unsupported: 'lz4' }],
  [Buffer.from('LZIP\x01', 'latin1'), { unsupported: 'lzip' }],
  [Buffer.from('MSCF\0\0\0\0', 'latin1'), { unsupported: 'cab' }],
];

/** What the first bytes of some content say it is. Give `HEAD_BYTES` of them, or all where there are fewer. */
export function recogniseHead(head: Buffer): Recognised | undefined {
  if (head.length < 2) return undefined;
  for (const [start, format] of known) {
    if (head[0] === start[0] && head.subarray(0, start.length).equals(start)) return format;
  }
  if (isBzip2(head)) return { unsupported: 'bzip2' };
  return head.length >= HEAD_BYTES && isTarHeader(head) ? 'tar' : undefined;
}

/** `BZh`, the block size, then a block (π) or the end of the stream (√π). */
function isBzip2(head: Buffer): boolean {
  if (!/^BZh[1-9]$/.test(head.toString('latin1', 0, 4))) return false;
  const block = head.toString('hex', 4, 10);
  return block === '314159265359' || block === '177245385090';
}

/** What a whole file is, by its content alone: by its start, and by its end where a zip has something before it. */
export function recognise(source: Source): Recognised | undefined {
  const head = source.readOwn(0, Math.min(HEAD_BYTES, source.size));
  const byHead = recogniseHead(head);
  if (byHead !== undefined) return byHead;
  if (endsAsZip(source)) return 'zip';
  // What tar writes for no files at all: nothing but end blocks.
  const blocks = source.size >= 2 * HEAD_BYTES && source.size % HEAD_BYTES === 0;
  return blocks && isZero(head) && allZero(source, 0, source.size) ? 'tar' : undefined;
}
