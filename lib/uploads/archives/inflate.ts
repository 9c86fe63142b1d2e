import { Readable } from 'node:stream';
import { createGunzip, createInflateRaw, inflateRawSync } from 'node:zlib';
import { ArchiveRefused } from './refused.js';
import { allZero, pieces, type Source } from './source.js';

/** Inflating is twice as fast in pieces of this size as in Node's default of 16 KiB. */
export const PIECE_BYTES = 256 * 1024;

/** Up to this, in and out, a thread does better to inflate at once than to hand pieces to another one. */
const AT_ONCE_BYTES = 128 * 1024;

/** A range of a source that holds deflated data, and what is announced to come out. */
export interface Deflated {
  source: Source;
  position: number;
  length: number;
  size: number;
  entry: string;
}

/**
 * Inflates raw deflate data and hands on what comes out, never more than a piece past the announced size.
 *
 * @throws {ArchiveRefused} `ARCHIVE_CORRUPT`, `ARCHIVE_SIZE_MISMATCH`, and what `take` throws.
 */
export async function inflate(range: Deflated, take: (piece: Buffer) => void): Promise<void> {
  const consumed =
    range.length <= AT_ONCE_BYTES && range.size <= AT_ONCE_BYTES
      ? inflateAtOnce(range, take)
      : await inflatePieces(range, take);
  if (consumed < range.length)
    throw new ArchiveRefused('ARCHIVE_CORRUPT', 'an entry has data after its end', range.entry);
}

function inflateAtOnce(range: Deflated, take: (piece: Buffer) => void): number {
  const { source, position, length, size, entry } = range;
  let result: { buffer: Buffer; engine: { bytesWritten: number } };
  try {
    // One byte more than announced, so that zlib sees the end in one go and too much is seen too.
    const room = Math.max(64, size + 1);
    result = inflateRawSync(source.read(position, length), {
      info: true,
      chunkSize: room,
      maxOutputLength: room,
    }) as unknown as typeof result;
  } catch (error) {
    throw refusalOf(error, entry);
  }
  take(result.buffer);
  return result.engine.bytesWritten;
}

async function inflatePieces(range: Deflated, take: (piece: Buffer) => void): Promise<number> {
  const { source, position, length, size, entry } = range;
  const input = Readable.from(pieces(source, position, length), { objectMode: true, highWaterMark: 2 });
  const inflating = createInflateRaw({ chunkSize: PIECE_BYTES });
  input.on('error', (error) => inflating.destroy(error));
  let bytes = 0;
  try {
    for await (const piece of input.pipe(inflating) as AsyncIterable<Buffer>) {
      bytes += piece.length;
      if (bytes > size) throw tooMuch(entry);
      take(piece);
    }
  } catch (error) {
    throw refusalOf(error, entry);
  } finally {
    input.destroy();
    inflating.destroy();
  }
  return inflating.bytesWritten;
}

/**
 * The content of a gzip file, all its members one after another. Zeros may follow, nothing else.
 *
 * @throws {ArchiveRefused} `ARCHIVE_CORRUPT`, `ARCHIVE_TRUNCATED` or `ARCHIVE_TRAILING_DATA`.
 */
export async function* gunzip(source: Source): AsyncGenerator<Buffer> {
  const input = Readable.from(pieces(source, 0, source.size), { objectMode: true, highWaterMark: 2 });
  const inflating = createGunzip({ chunkSize: PIECE_BYTES });
  input.on('error', (error) => inflating.destroy(error));
  try {
    for await (const piece of input.pipe(inflating) as AsyncIterable<Buffer>) yield piece;
  } catch (error) {
    throw refusalOf(error);
  } finally {
    input.destroy();
    inflating.destroy();
  }
  if (!allZero(source, inflating.bytesWritten, source.size))
    throw new ArchiveRefused('ARCHIVE_TRAILING_DATA', 'there is data after the end of the gzip file');
}

const tooMuch = (entry: string): ArchiveRefused =>
  new ArchiveRefused('ARCHIVE_SIZE_MISMATCH', 'an entry is larger than it says', entry);

/** Names zlib's errors; anything else is a refusal already, or an error of ours. */
function refusalOf(error: unknown, entry?: string): unknown {
  const code = (error as NodeJS.ErrnoException | null)?.code;
  if (code === 'ERR_BUFFER_TOO_LARGE') return tooMuch(entry ?? '');
  if (code === 'Z_BUF_ERROR')
    return new ArchiveRefused('ARCHIVE_TRUNCATED', 'the compressed data is cut off', entry);
  if (typeof code === 'string' && code.startsWith('Z_'))
    return new ArchiveRefused('ARCHIVE_CORRUPT', 'the compressed data is broken', entry);
  return error;
}
