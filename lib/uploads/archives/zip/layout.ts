import type { Budget } from '../budget.js';
import { checkName } from '../names.js';
import { ArchiveRefused } from '../refused.js';
import { allZero, findAll, type Source } from '../source.js';
import { FLAG_DESCRIPTOR, FLAG_ENCRYPTED, FLAG_UTF8, type ZipEntry } from './directory.js';
import type { ZipEnd } from './end.js';
import { FULL32, readExtra, widen } from './extra.js';

const LOCAL = 0x04034b50;
const LOCAL_BYTES = 30;
const DESCRIPTOR = 0x08074b50;

export interface PlacedEntry extends ZipEntry {
  /** Where its compressed bytes begin. */
  dataAt: number;
}

/**
 * Reads every local header, holds it against the directory, and makes sure that the entries lie one after another
 * without sharing a byte: overlapping ones turn kilobytes into petabytes. Nothing is decoded yet.
 *
 * @returns The entries in the order of their places.
 * @throws {ArchiveRefused}
 */
export function layOut(source: Source, end: ZipEnd, entries: ZipEntry[], budget: Budget): PlacedEntry[] {
  const { mode } = budget.limits;
  const inOrder = entries.every((entry, index) => index === 0 || entry.headerAt >= before(entries, index));
  const sorted = inOrder ? entries : entries.toSorted((a, b) => a.headerAt - b.headerAt);
  checkPrefix(source, sorted[0]?.headerAt ?? end.directoryStart, mode);
  let free = sorted[0]?.headerAt ?? end.directoryStart;
  const placed = sorted.map((entry, index) => {
    if ((index & 255) === 0) budget.checkTime();
    if (entry.headerAt < free)
      throw new ArchiveRefused('ARCHIVE_OVERLAP', 'two entries share the same bytes', entry.name);
    if (entry.headerAt > free) checkGap(source, free, entry.headerAt, mode);
    const { dataAt, entryEnd } = readLocal(source, entry, end, mode);
    free = entryEnd;
    return Object.assign(entry, { dataAt });
  });
  if (free < end.directoryStart && sorted.length > 0) checkGap(source, free, end.directoryStart, mode);
  return placed;
}

const before = (entries: ZipEntry[], index: number): number => entries[index - 1]?.headerAt ?? 0;

const MOST_MARKS = 1000;

/** What a zip begins with that was to be split but came out in one piece (APPNOTE 8.5.4 and 8.5.5). */
const SPLIT_MARKS = ['PK\x07\x08', 'PK00'] as const;

const isSplitMark = (source: Source): boolean =>
  SPLIT_MARKS.some((mark) => mark === source.read(0, mark.length).toString('latin1'));

/** A prefix makes a file that is two things at once. `lenient` lets it be, unless it is a zip of its own. */
function checkPrefix(source: Source, first: number, mode: 'strict' | 'lenient'): void {
  if (first <= 0 || (first === SPLIT_MARKS[0].length && isSplitMark(source))) return;
  if (mode === 'strict')
    throw new ArchiveRefused('ARCHIVE_PREFIX', 'there is data before the beginning of the zip');
  let marks = 0;
  for (const at of findAll(source, Buffer.from('PK\x05\x06', 'latin1'), 0, first)) {
    marks += 1;
    // A self-extracting program has the four bytes in its code, a few times; a zip has its directory before them.
    const directoryAt = at + 22 <= first ? at - source.read(at, 22).readUInt32LE(12) : -1;
    const isZip = directoryAt >= 0 && source.read(directoryAt, 4).toString('latin1') === 'PK\x01\x02';
    if (isZip || marks > MOST_MARKS)
      throw new ArchiveRefused('ARCHIVE_AMBIGUOUS', 'the data before the beginning of the zip is a zip too');
  }
}

const APK_BLOCK = 'APK Sig Block 42';

/** What no entry accounts for may hold entries that only some programs see. */
function checkGap(source: Source, from: number, to: number, mode: 'strict' | 'lenient'): void {
  if (mode === 'strict') {
    const signed = to - from >= 32 && source.read(to - 16, 16).toString('latin1') === APK_BLOCK;
    if (signed || allZero(source, from, to)) return;
    throw new ArchiveRefused('ARCHIVE_HIDDEN_DATA', 'there is data between the entries of the zip');
  }
  for (const mark of ['PK\x03\x04', 'PK\x01\x02', 'PK\x05\x06']) {
    if (!findAll(source, Buffer.from(mark, 'latin1'), from, to).next().done)
      throw new ArchiveRefused(
        'ARCHIVE_HIDDEN_DATA',
        'there are entries that the zip directory does not list',
      );
  }
}

const outside = (name: string): ArchiveRefused =>
  new ArchiveRefused('ARCHIVE_OVERLAP', 'an entry reaches into the zip directory', name);

function readLocal(
  source: Source,
  entry: ZipEntry,
  end: ZipEnd,
  mode: 'strict' | 'lenient',
): { dataAt: number; entryEnd: number } {
  const { name, headerAt } = entry;
  if (headerAt + LOCAL_BYTES > end.directoryStart) throw outside(name);
  const fixed = source.read(headerAt, LOCAL_BYTES);
  if (fixed.readUInt32LE(0) !== LOCAL)
    throw new ArchiveRefused('ARCHIVE_CORRUPT', 'an entry is not where the zip directory says', name);
  const headerBytes = LOCAL_BYTES + fixed.readUInt16LE(26) + fixed.readUInt16LE(28);
  const dataAt = headerAt + headerBytes;
  const dataEnd = dataAt + entry.compressedSize;
  if (dataEnd > end.directoryStart) throw outside(name);
  const values = checkLocal(source.read(headerAt, headerBytes), entry, mode);
  const entryEnd = values.streamed
    ? dataEnd + descriptorBytes(source, entry, dataEnd, values.known && mode === 'lenient')
    : dataEnd;
  if (entryEnd > end.directoryStart) throw outside(name);
  return { dataAt, entryEnd };
}

const differs = (what: string, name: string): ArchiveRefused =>
  new ArchiveRefused('ARCHIVE_HEADER_MISMATCH', `an entry has two ${what} that disagree`, name);

/** Whether a local header's value is the directory's, or left for the data descriptor to say. */
const isOpen = (value: number, known: number): boolean => value === 0 || value === FULL32 || value === known;

/** Whether sizes and checksum follow the data, and whether the local header nevertheless has them. */
function checkLocal(
  header: Buffer,
  entry: ZipEntry,
  mode: 'strict' | 'lenient',
): { streamed: boolean; known: boolean } {
  const { name } = entry;
  const nameEnd = LOCAL_BYTES + header.readUInt16LE(26);
  const flags = header.readUInt16LE(6);
  if (header.toString('latin1', LOCAL_BYTES, nameEnd) !== entry.rawName) throw differs('names', name);
  if (header.readUInt16LE(8) !== entry.method) throw differs('compression methods', name);
  if (flags & FLAG_ENCRYPTED) throw new ArchiveRefused('ARCHIVE_ENCRYPTED', 'an entry is encrypted', name);
  if (mode === 'strict') {
    const compared = FLAG_DESCRIPTOR | FLAG_UTF8;
    if ((flags & compared) !== (entry.flags & compared)) throw differs('sets of flags', name);
    if (header.readUInt32LE(10) !== entry.time) throw differs('times', name);
  }
  const rawName = header.subarray(LOCAL_BYTES, nameEnd);
  const extra = readExtra(header.subarray(nameEnd), rawName, name, mode);
  if (extra.unicodeName !== undefined && extra.unicodeName !== entry.unicodeName)
    checkName(extra.unicodeName, mode);
  const narrow = [header.readUInt32LE(22), header.readUInt32LE(18)];
  const [size, compressedSize] = widen(narrow, extra.zip64, name, 'lenient') as [number, number];
  const crc = header.readUInt32LE(14);
  const streamed = (flags & FLAG_DESCRIPTOR) !== 0;
  const same = size === entry.size && compressedSize === entry.compressedSize && crc === entry.crc;
  const left =
    isOpen(size, entry.size) &&
    isOpen(compressedSize, entry.compressedSize) &&
    (crc === 0 || crc === entry.crc);
  if (!same && !(streamed && left)) throw differs('sizes or checksums', name);
  return { streamed, known: same };
}

/**
 * How long the data descriptor is: it may have a signature, and sizes of 32 or 64 bits. Where the local header has the
 * values already, some programs leave it out (`optional`).
 */
function descriptorBytes(source: Source, entry: ZipEntry, at: number, optional: boolean): number {
  const bytes = source.read(at, Math.min(24, source.size - at));
  for (const signature of [4, 0]) {
    if (signature === 4 && (bytes.length < 4 || bytes.readUInt32LE(0) !== DESCRIPTOR)) continue;
    for (const wide of [true, false]) {
      if (matches(bytes.subarray(signature), entry, wide)) return signature + (wide ? 20 : 12);
    }
  }
  if (optional) return 0;
  throw new ArchiveRefused(
    'ARCHIVE_HEADER_MISMATCH',
    'an entry is followed by other sizes or another checksum than the directory has',
    entry.name,
  );
}

function matches(bytes: Buffer, entry: ZipEntry, wide: boolean): boolean {
  if (bytes.length < (wide ? 20 : 12) || bytes.readUInt32LE(0) !== entry.crc) return false;
  const at = wide ? 12 : 8;
  if (bytes.readUInt32LE(4) !== entry.compressedSize >>> 0 || bytes.readUInt32LE(at) !== entry.size >>> 0)
    return false;
  return (
    !wide ||
    (bytes.readUInt32LE(8) === high(entry.compressedSize) && bytes.readUInt32LE(16) === high(entry.size))
  );
}

const high = (value: number): number => Math.floor(value / 0x1_0000_0000);
