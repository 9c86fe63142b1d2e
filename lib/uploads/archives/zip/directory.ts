import type { Budget } from '../budget.js';
import { ArchiveRefused } from '../refused.js';
import type { Source } from '../source.js';
import { decodeUtf8 } from '../text.js';
import type { ZipEnd } from './end.js';
import { readExtra, widen } from './extra.js';

/** An entry as the central directory has it (APPNOTE 4.3.12). */
export interface ZipEntry {
  /** Byte for byte, as Latin-1: for comparing with the local header. */
  rawName: string;
  /** As most programs show it. */
  name: string;
  /** From a Unicode path field, where there is one that counts. */
  unicodeName: string | undefined;
  flags: number;
  method: number;
  /** DOS time and date in one number. */
  time: number;
  crc: number;
  compressedSize: number;
  size: number;
  /** Where the local header is, in the file. */
  headerAt: number;
  kind: 'file' | 'folder' | 'link';
}

export const FLAG_ENCRYPTED = 1;
export const FLAG_DESCRIPTOR = 1 << 3;
export const FLAG_UTF8 = 1 << 11;
/** Strong encryption, and the masked headers that go with it. */
const FLAGS_STRONG = (1 << 6) | (1 << 13);
const METHOD_AES = 99;

const ENTRY = 0x02014b50;
const SIGNATURE = 0x05054b50;
const HEADER_BYTES = 46;

/**
 * Reads the whole central directory, whatever number of entries is announced.
 *
 * @throws {ArchiveRefused}
 */
export function readDirectory(source: Source, end: ZipEnd, budget: Budget): ZipEntry[] {
  const { mode } = budget.limits;
  // The number that is announced costs an attacker nothing: refuse a large one before any work, but believe none.
  budget.checkEntries(end.entries);
  const entries: ZipEntry[] = [];
  let at = end.directoryStart;
  while (at < end.directoryEnd) {
    if (mode === 'lenient' && isDirectorySignature(source, at, end.directoryEnd)) break;
    budget.addEntries(1);
    if ((entries.length & 255) === 0) budget.checkTime();
    at = readEntry(source, at, end, budget, entries);
  }
  const announced = end.entriesWrap && mode === 'lenient' ? entries.length & 0xffff : entries.length;
  if (announced !== end.entries)
    throw new ArchiveRefused('ARCHIVE_COUNT_MISMATCH', 'the zip has another number of entries than it says');
  return entries;
}

/** A signature of the whole directory after its entries (APPNOTE 4.3.13); nothing checks or writes it today. */
function isDirectorySignature(source: Source, at: number, end: number): boolean {
  if (at + 6 > end) return false;
  const head = source.read(at, 6);
  return head.readUInt32LE(0) === SIGNATURE && at + 6 + head.readUInt16LE(4) === end;
}

function readEntry(source: Source, at: number, end: ZipEnd, budget: Budget, entries: ZipEntry[]): number {
  if (at + HEADER_BYTES > end.directoryEnd) throw brokenDirectory();
  const fixed = source.read(at, HEADER_BYTES);
  if (fixed.readUInt32LE(0) !== ENTRY) throw brokenDirectory();
  const nameBytes = fixed.readUInt16LE(28);
  const variable = nameBytes + fixed.readUInt16LE(30) + fixed.readUInt16LE(32);
  const next = at + HEADER_BYTES + variable;
  if (next > end.directoryEnd) throw brokenDirectory();
  budget.addMetadata(variable);
  // One read for both parts: it may move what the first read gave.
  entries.push(parseEntry(source.read(at, HEADER_BYTES + variable), end.base, budget.limits.mode));
  return next;
}

const brokenDirectory = (): ArchiveRefused =>
  new ArchiveRefused('ARCHIVE_CORRUPT', 'the zip directory is broken');

function parseEntry(header: Buffer, base: number, mode: 'strict' | 'lenient'): ZipEntry {
  const nameEnd = HEADER_BYTES + header.readUInt16LE(28);
  const extraEnd = nameEnd + header.readUInt16LE(30);
  const flags = header.readUInt16LE(8);
  const method = header.readUInt16LE(10);
  const rawName = header.toString('latin1', HEADER_BYTES, nameEnd);
  const nameBytes = header.subarray(HEADER_BYTES, nameEnd);
  const name = decodeName(nameBytes, rawName, flags);
  const extra = readExtra(header.subarray(nameEnd, extraEnd), nameBytes, name, mode);
  if (flags & (FLAG_ENCRYPTED | FLAGS_STRONG) || method === METHOD_AES || extra.aes)
    throw new ArchiveRefused('ARCHIVE_ENCRYPTED', 'an entry is encrypted', name);
  if (header.readUInt16LE(34) !== 0 && header.readUInt16LE(34) !== 0xffff)
    throw new ArchiveRefused('ARCHIVE_MULTI_DISK', 'an entry is in another part of a split zip', name);
  const narrow = [header.readUInt32LE(24), header.readUInt32LE(20), header.readUInt32LE(42)];
  const [size, compressedSize, offset] = widen(narrow, extra.zip64, name, mode) as [number, number, number];
  return {
    rawName,
    name,
    unicodeName: extra.unicodeName,
    flags,
    method,
    time: header.readUInt32LE(12),
    crc: header.readUInt32LE(16),
    compressedSize,
    size,
    headerAt: base + offset,
    kind: kindOf(header, name),
  };
}

const PLAIN = /^[\x20-\x7e]*$/;

function decodeName(bytes: Buffer, latin1: string, flags: number): string {
  if (PLAIN.test(latin1)) return latin1;
  const text = decodeUtf8(bytes);
  if (text !== undefined) return text;
  if (flags & FLAG_UTF8)
    throw new ArchiveRefused('ARCHIVE_NAME_INVALID', 'an entry has a name that is no UTF-8', latin1);
  // Some code page of the writer's; which one makes no difference to a path, whose marks are all ASCII.
  return latin1;
}

const LINK = 0xa000;
/** A pipe, the two kinds of device, a socket. Other values than Unix's occur (Maven once wrote all ones). */
const SPECIAL = [0x1000, 0x2000, 0x6000, 0xc000];
const UNIX = 3;
const MACOS = 19;

/** The file type in the upper half of the attributes is Unix's, where Unix or macOS wrote the entry. */
function kindOf(header: Buffer, name: string): ZipEntry['kind'] {
  const type = header.readUInt16LE(40) & 0xf000;
  const writer = header[5];
  // Unpackers differ in whether they look at the writer, so a link is one whoever claims to have written it.
  if (type === LINK) return 'link';
  if ((writer === UNIX || writer === MACOS) && SPECIAL.includes(type))
    throw new ArchiveRefused('ARCHIVE_SPECIAL_FILE', 'an entry is a device, a pipe or a socket', name);
  return name.endsWith('/') || name.endsWith('\\') ? 'folder' : 'file';
}
