import { ArchiveRefused } from '../refused.js';
import { decodeName } from './header.js';

/** What extended headers say about the next entry, or, for a global one, about all that follow. */
export interface PaxRecords {
  path?: string;
  linkpath?: string;
  size?: number;
  /** The entry is a sparse file of GNU's, in any of its three forms. */
  sparse?: true;
}

/**
 * Reads pax records: `length key=value\n`, the length counting itself (POSIX pax, 4.18).
 *
 * @throws {ArchiveRefused} `ARCHIVE_CORRUPT`; `ARCHIVE_AMBIGUOUS` for a key given twice that programs may read apart.
 */
export function parsePax(data: Buffer): PaxRecords {
  const records: PaxRecords = {};
  const seen = new Set<string>();
  let at = 0;
  // Some programs fill the rest with NULs.
  while (at < data.length && data[at] !== 0) {
    const blank = data.indexOf(0x20, at);
    const digits = blank === -1 ? '' : data.toString('latin1', at, Math.min(blank, at + 12));
    const end = at + (/^[1-9][0-9]*$/.test(digits) ? Number(digits) : 0);
    const equals = data.indexOf(0x3d, blank);
    if (end <= blank || end > data.length || data[end - 1] !== 0x0a || equals === -1 || equals >= end - 1)
      throw new ArchiveRefused('ARCHIVE_CORRUPT', 'an extended tar header is broken');
    const key = data.toString('latin1', blank + 1, equals);
    take(records, key, data.subarray(equals + 1, end - 1), seen);
    at = end;
  }
  return records;
}

function take(records: PaxRecords, key: string, value: Buffer, seen: Set<string>): void {
  if (key.startsWith('GNU.sparse.')) records.sparse = true;
  if (key !== 'path' && key !== 'linkpath' && key !== 'size') return;
  if (seen.has(key))
    throw new ArchiveRefused('ARCHIVE_AMBIGUOUS', 'an extended tar header says a thing twice');
  seen.add(key);
  if (key === 'size') {
    const size = value.toString('latin1');
    if (!/^[0-9]{1,16}$/.test(size) || Number(size) > Number.MAX_SAFE_INTEGER)
      throw new ArchiveRefused('ARCHIVE_CORRUPT', 'an extended tar header has no proper size');
    records.size = Number(size);
  } else {
    records[key] = decodeName(value);
  }
}
