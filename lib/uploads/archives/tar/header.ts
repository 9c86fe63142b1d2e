import { ArchiveRefused } from '../refused.js';
import { decodeUtf8 } from '../text.js';

export const BLOCK = 512;

/** A tar header block's fields (POSIX ustar; GNU's and the oldest form are the same but for the prefix). */
export interface TarHeader {
  name: string;
  size: number;
  /** The type's character; the old NUL comes out as `0`. */
  type: string;
  linkName: string;
}

/** The largest size that eleven octal digits can say. */
export const LARGEST_OCTAL_SIZE = 0o777_7777_7777;

/** Whether a block is a tar header: its checksum says so, of whatever dialect it is. */
export function isTarHeader(block: Buffer): boolean {
  if (block[0] === 0) return false;
  const sum = octal(block, 148, 8);
  if (sum === undefined || sum === 0) return false;
  const [unsigned, signed] = sums(block);
  return sum === unsigned || sum === signed;
}

/** The sum of all bytes, with blanks for the checksum itself; some old programs took the bytes as signed. */
function sums(block: Buffer): [number, number] {
  let unsigned = 8 * 32;
  let high = 0;
  for (let at = 0; at < BLOCK; at += 1) {
    if (at === 148) at = 156;
    const byte = block[at] as number;
    unsigned += byte;
    if (byte > 127) high += 1;
  }
  return [unsigned, unsigned - high * 256];
}

/** @throws {ArchiveRefused} `ARCHIVE_CORRUPT` where it is no header. */
export function parseHeader(block: Buffer): TarHeader {
  if (!isTarHeader(block)) throw new ArchiveRefused('ARCHIVE_CORRUPT', 'a tar header is broken');
  const posix = block.toString('latin1', 257, 263) === 'ustar\0';
  const prefix = posix ? text(block, 345, 155) : '';
  const name = prefix === '' ? text(block, 0, 100) : `${prefix}/${text(block, 0, 100)}`;
  const size = number(block, 124, 12);
  if (size === undefined)
    throw new ArchiveRefused('ARCHIVE_CORRUPT', 'a tar header has no proper size', name);
  const type = block[156] === 0 ? '0' : block.toString('latin1', 156, 157);
  return { name, size, type, linkName: text(block, 157, 100) };
}

function text(block: Buffer, at: number, length: number): string {
  const field = block.subarray(at, at + length);
  const end = field.indexOf(0);
  return decodeName(end === -1 ? field : field.subarray(0, end));
}

/** A name in UTF-8 or, where it is none, byte for byte: the marks of a path are ASCII in any code page. */
export const decodeName = (bytes: Buffer): string => decodeUtf8(bytes) ?? bytes.toString('latin1');

/** A size in octal digits, or in binary where the first bit is set (GNU, star); `undefined` where it is neither. */
function number(block: Buffer, at: number, length: number): number | undefined {
  const first = block[at] as number;
  if ((first & 0x80) === 0) return octal(block, at, length);
  // 0xff would be a negative number.
  if (first !== 0x80) return undefined;
  let value = 0;
  for (let index = at + 1; index < at + length; index += 1) value = value * 256 + (block[index] as number);
  return value <= Number.MAX_SAFE_INTEGER ? value : undefined;
}

/** Octal digits between blanks or NULs. Nothing at all is 0, as some programs write for what has no size. */
function octal(block: Buffer, at: number, length: number): number | undefined {
  const digits = /^[ \0]*([0-7]*)[ \0]*$/.exec(block.toString('latin1', at, at + length))?.[1];
  if (digits === undefined) return undefined;
  return digits === '' ? 0 : Number.parseInt(digits, 8);
}
