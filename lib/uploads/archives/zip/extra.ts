import { crc32 } from '../crc32.js';
import { ArchiveRefused } from '../refused.js';
import { isZero } from '../source.js';
import { decodeUtf8 } from '../text.js';
import { uint64 } from './end.js';

/** The extra fields of a zip header that change what the header says (APPNOTE 4.5). */
export interface ExtraFields {
  zip64: Buffer | undefined;
  /** A name in UTF-8 that some programs use instead of the header's. */
  unicodeName: string | undefined;
  aes: boolean;
}

export const FULL32 = 0xffffffff;

const NONE: ExtraFields = { zip64: undefined, unicodeName: undefined, aes: false };

/**
 * @param rawName The header's own name: a Unicode path belongs to it only where its checksum is right.
 * @throws {ArchiveRefused} `ARCHIVE_CORRUPT`, in strict mode also for fields that lead programs apart.
 */
export function readExtra(
  extra: Buffer,
  rawName: Buffer,
  entry: string,
  mode: 'strict' | 'lenient',
): ExtraFields {
  if (extra.length === 0) return NONE;
  const fields: ExtraFields = { ...NONE };
  const seen = new Set<number>();
  let at = 0;
  while (at + 4 <= extra.length) {
    const id = extra.readUInt16LE(at);
    const end = at + 4 + extra.readUInt16LE(at + 2);
    if (end > extra.length) break;
    const data = extra.subarray(at + 4, end);
    at = end;
    if (id !== 0x0001 && id !== 0x7075 && id !== 0x9901) continue;
    if (seen.has(id))
      throw new ArchiveRefused('ARCHIVE_AMBIGUOUS', 'an entry has an extra field twice', entry);
    seen.add(id);
    if (id === 0x0001) fields.zip64 = data;
    else if (id === 0x7075) fields.unicodeName = unicodeName(data, rawName, entry);
    else fields.aes = true;
  }
  // Zeros are padding, as zipalign writes it.
  if (mode === 'strict' && !isZero(extra.subarray(at)))
    throw new ArchiveRefused('ARCHIVE_CORRUPT', 'an entry has broken extra fields', entry);
  return fields;
}

function unicodeName(data: Buffer, rawName: Buffer, entry: string): string | undefined {
  if (data.length < 5 || data[0] !== 1 || data.readUInt32LE(1) !== crc32(rawName)) return undefined;
  const name = decodeUtf8(data.subarray(5));
  if (name === undefined)
    throw new ArchiveRefused('ARCHIVE_NAME_INVALID', 'an entry has a name that is no UTF-8', entry);
  return name;
}

/**
 * Puts 64-bit values in the place of those that are full. The field holds only the values that are needed, in this
 * order; some programs write, and some read, all of them always, so what isn't needed must at least agree.
 *
 * @throws {ArchiveRefused} `ARCHIVE_CORRUPT` where one is missing, `ARCHIVE_HEADER_MISMATCH` where one disagrees.
 */
export function widen(
  values: number[],
  zip64: Buffer | undefined,
  entry: string,
  mode: 'strict' | 'lenient',
): number[] {
  if (zip64 === undefined) return values;
  const needed = values.filter((value) => value === FULL32).length;
  if (zip64.length < needed * 8)
    throw new ArchiveRefused('ARCHIVE_CORRUPT', 'an entry has a zip64 field that is too short', entry);
  let at = 0;
  const wide = values.map((value) => {
    if (value !== FULL32) return value;
    at += 8;
    return uint64(zip64, at - 8);
  });
  if (mode === 'strict' && needed < values.length && zip64.length >= (needed + 1) * 8)
    checkUnneeded(wide, zip64, entry);
  return wide;
}

function checkUnneeded(wide: number[], zip64: Buffer, entry: string): void {
  const agrees = wide.every((value, index) => {
    const at = index * 8;
    return at + 8 > zip64.length || uint64(zip64, at) === value;
  });
  if (!agrees)
    throw new ArchiveRefused(
      'ARCHIVE_HEADER_MISMATCH',
      'an entry has two sizes or places that disagree',
      entry,
    );
}
