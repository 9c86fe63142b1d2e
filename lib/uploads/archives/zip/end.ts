import { ArchiveRefused } from '../refused.js';
import { allZero, type Source } from '../source.js';

/** Where a zip's directory is and what the records at its end say about it (APPNOTE 4.3.14 to 4.3.16). */
export interface ZipEnd {
  /** What to add to every offset that the archive gives: the size of a prefix it doesn't know of. */
  base: number;
  directoryStart: number;
  /** Where the directory ends and the end records begin. */
  directoryEnd: number;
  /** Entries that the records announce. */
  entries: number;
  /** The announced number has 16 bits only; some programs let it overflow. */
  entriesWrap: boolean;
}

const END = Buffer.from('PK\x05\x06', 'latin1');
const END_BYTES = 22;
const LONGEST_COMMENT = 0xffff;
const LOCATOR = Buffer.from('PK\x06\x07', 'latin1');
const LOCATOR_BYTES = 20;
const END64 = Buffer.from('PK\x06\x06', 'latin1');
const END64_BYTES = 56;
const DIRECTORY = Buffer.from('PK\x01\x02', 'latin1');

interface EndRecord {
  position: number;
  disk: number;
  directoryDisk: number;
  entriesHere: number;
  entries: number;
  directorySize: number;
  directoryOffset: number;
  /** Bytes between the end of its comment and the end of the file; negative where the comment is cut off. */
  after: number;
}

function endRecords(source: Source): EndRecord[] {
  const length = Math.min(source.size, END_BYTES + LONGEST_COMMENT);
  const start = source.size - length;
  const tail = source.readOwn(start, length);
  const found: EndRecord[] = [];
  for (let at = tail.indexOf(END); at !== -1 && at + END_BYTES <= length; at = tail.indexOf(END, at + 1)) {
    found.push({
      position: start + at,
      disk: tail.readUInt16LE(at + 4),
      directoryDisk: tail.readUInt16LE(at + 6),
      entriesHere: tail.readUInt16LE(at + 8),
      entries: tail.readUInt16LE(at + 10),
      directorySize: tail.readUInt32LE(at + 12),
      directoryOffset: tail.readUInt32LE(at + 16),
      after: length - at - END_BYTES - tail.readUInt16LE(at + 20),
    });
  }
  return found;
}

/** Whether a file ends as a zip does, whatever it begins with: an end record at its end, and a directory before it. */
export function endsAsZip(source: Source): boolean {
  return endRecords(source).some(
    (end) =>
      end.after === 0 &&
      (isAt(source, DIRECTORY, end.position - end.directorySize) ||
        isAt(source, LOCATOR, end.position - LOCATOR_BYTES)),
  );
}

/**
 * Finds the one end of a zip. Programs look for it in different ways, so there must be no second one that another
 * program could find.
 *
 * @throws {ArchiveRefused}
 */
export function findEnd(source: Source, mode: 'strict' | 'lenient'): ZipEnd {
  const found = endRecords(source);
  const last = found.at(-1);
  if (last === undefined)
    throw new ArchiveRefused('ARCHIVE_TRUNCATED', 'the end of the zip directory is missing');
  if (found.some((end) => end !== last && end.after === 0))
    throw new ArchiveRefused('ARCHIVE_AMBIGUOUS', 'the zip has two ends of its directory');
  if (last.after < 0)
    throw new ArchiveRefused('ARCHIVE_TRUNCATED', 'the comment at the end of the zip is cut off');
  const padded = mode === 'lenient' && allZero(source, source.size - last.after, source.size);
  if (last.after > 0 && !padded)
    throw new ArchiveRefused('ARCHIVE_TRAILING_DATA', 'there is data after the end of the zip');
  return checkPlace(source, placeOf(source, last), mode);
}

interface Place {
  disks: number[];
  entriesHere: number;
  entries: number;
  directorySize: number;
  directoryOffset: number;
  directoryEnd: number;
  zip64: boolean;
}

function placeOf(source: Source, end: EndRecord): Place {
  const disks = [end.disk, end.directoryDisk];
  if (!isAt(source, LOCATOR, end.position - LOCATOR_BYTES))
    return { ...end, disks, directoryEnd: end.position, zip64: false };
  const locatorAt = end.position - LOCATOR_BYTES;
  const record = zip64Record(source, locatorAt);
  const agrees =
    agree(end.disk, record.disk, 0xffff) &&
    agree(end.directoryDisk, record.directoryDisk, 0xffff) &&
    agree(end.entriesHere, record.entriesHere, 0xffff) &&
    agree(end.entries, record.entries, 0xffff) &&
    agree(end.directorySize, record.directorySize, 0xffffffff) &&
    agree(end.directoryOffset, record.directoryOffset, 0xffffffff);
  // Programs differ in which of the two records they believe.
  if (!agrees)
    throw new ArchiveRefused('ARCHIVE_AMBIGUOUS', 'the two end records of the zip contradict each other');
  return { ...record, zip64: true };
}

const agree = (small: number, large: number, full: number): boolean => small === full || small === large;

function zip64Record(
  source: Source,
  locatorAt: number,
): Omit<Place, 'zip64'> & Record<'disk' | 'directoryDisk', number> {
  const locator = source.readOwn(locatorAt, LOCATOR_BYTES);
  const literal = uint64(locator, 8);
  // With a prefix that the offsets don't count, the record is where it would be without an extensible sector.
  const at = [literal, locatorAt - END64_BYTES].find((place) => endsAt(source, place, locatorAt));
  if (at === undefined)
    throw new ArchiveRefused('ARCHIVE_CORRUPT', 'the zip64 end record is not where the locator says');
  const record = source.readOwn(at, END64_BYTES);
  const disk = record.readUInt32LE(16);
  const directoryDisk = record.readUInt32LE(20);
  return {
    disk,
    directoryDisk,
    // Some programs count the locator's disks from 0.
    disks: [disk, directoryDisk, locator.readUInt32LE(4), Math.max(0, locator.readUInt32LE(16) - 1)],
    entriesHere: uint64(record, 24),
    entries: uint64(record, 32),
    directorySize: uint64(record, 40),
    directoryOffset: uint64(record, 48),
    directoryEnd: at,
  };
}

/** Whether a zip64 end record stands here whose own size brings it exactly to the locator. */
function endsAt(source: Source, at: number, locatorAt: number): boolean {
  if (at + END64_BYTES > locatorAt || !isAt(source, END64, at)) return false;
  return at + 12 + uint64(source.read(at, END64_BYTES), 4) === locatorAt;
}

function checkPlace(source: Source, place: Place, mode: 'strict' | 'lenient'): ZipEnd {
  if (place.disks.some((disk) => disk !== 0) || place.entriesHere !== place.entries)
    throw new ArchiveRefused('ARCHIVE_MULTI_DISK', 'the file is one part of a split zip');
  const directoryStart = place.directoryEnd - place.directorySize;
  const base = directoryStart - place.directoryOffset;
  if (directoryStart < 0 || base < 0)
    throw new ArchiveRefused('ARCHIVE_CORRUPT', 'the zip directory is not where its end record says');
  if (base > 0) {
    if (mode === 'strict')
      throw new ArchiveRefused('ARCHIVE_PREFIX', 'there is data before the beginning of the zip');
    if (isAt(source, DIRECTORY, place.directoryOffset))
      throw new ArchiveRefused('ARCHIVE_AMBIGUOUS', 'the zip has two places where its directory may be');
  }
  const { directoryEnd, entries, zip64 } = place;
  return { base, directoryStart, directoryEnd, entries, entriesWrap: !zip64 };
}

function isAt(source: Source, signature: Buffer, position: number): boolean {
  if (position < 0 || position + signature.length > source.size) return false;
  return source.read(position, signature.length).equals(signature);
}

/** A 64-bit number; those that no file can reach come out as the largest that is exact. */
export function uint64(bytes: Buffer, at: number): number {
  const value = bytes.readUInt32LE(at + 4) * 0x1_0000_0000 + bytes.readUInt32LE(at);
  return Math.min(value, Number.MAX_SAFE_INTEGER);
}
