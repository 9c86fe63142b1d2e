import { closeSync, fstatSync, openSync, readSync } from 'node:fs';
import { ArchiveRefused } from './refused.js';

/** Bytes that can be read at any place: a file, or a buffer. Synchronous, since it is read in a worker thread. */
export interface Source {
  /** Bytes. */
  readonly size: number;
  /**
   * Exactly `length` bytes. What comes back may share its memory with later reads: look at it before the next one.
   * @throws {ArchiveRefused} `ARCHIVE_TRUNCATED` past the end.
   */
  read(position: number, length: number): Buffer;
  /** As `read`, but the bytes stay as they are. */
  readOwn(position: number, length: number): Buffer;
  close(): void;
}

const pastEnd = (): ArchiveRefused =>
  new ArchiveRefused('ARCHIVE_TRUNCATED', 'the archive ends before what it announces');

/** A buffer as a source. */
export function bufferSource(buffer: Buffer): Source {
  const read = (position: number, length: number): Buffer => {
    if (position < 0 || position + length > buffer.length) throw pastEnd();
    return buffer.subarray(position, position + length);
  };
  return { size: buffer.length, read, readOwn: read, close: () => undefined };
}

/** Read ahead while reads follow one another, a little where they jump about. */
const AHEAD = 256 * 1024;
const JUMP = 8 * 1024;

/**
 * A file as a source.
 *
 * @throws The file system's own error, where the file can't be opened.
 */
export function fileSource(path: string): Source {
  const fd = openSync(path, 'r');
  const { size } = fstatSync(fd);
  const window = Buffer.allocUnsafe(AHEAD);
  let start = 0;
  let end = 0;

  const fill = (target: Buffer, position: number, length: number): void => {
    for (let filled = 0; filled < length;) {
      const got = readSync(fd, target, filled, length - filled, position + filled);
      if (got === 0) throw pastEnd();
      filled += got;
    }
  };
  const readOwn = (position: number, length: number): Buffer => {
    if (position < 0 || position + length > size) throw pastEnd();
    const bytes = Buffer.allocUnsafeSlow(length);
    fill(bytes, position, length);
    return bytes;
  };
  const read = (position: number, length: number): Buffer => {
    if (position < 0 || position + length > size) throw pastEnd();
    if (length > AHEAD) return readOwn(position, length);
    if (position < start || position + length > end) {
      const follows = position >= start && position <= end + JUMP;
      const wanted = Math.max(length, follows ? AHEAD : JUMP);
      start = position;
      end = Math.min(size, position + wanted);
      fill(window, start, end - start);
    }
    return window.subarray(position - start, position - start + length);
  };
  return { size, read, readOwn, close: () => closeSync(fd) };
}

/** The bytes from `position` on in pieces that stay as they are. */
export function* pieces(source: Source, position: number, length: number): Generator<Buffer> {
  for (let at = position; at < position + length; at += AHEAD) {
    yield source.readOwn(at, Math.min(AHEAD, position + length - at));
  }
}

/** Every place between `from` and `to` where these bytes stand, all of them before `to`. */
export function* findAll(source: Source, bytes: Buffer, from: number, to: number): Generator<number> {
  const step = AHEAD - (bytes.length - 1);
  for (let at = from; at + bytes.length <= to; at += step) {
    const piece = source.readOwn(at, Math.min(AHEAD, to - at));
    for (let found = piece.indexOf(bytes); found !== -1; found = piece.indexOf(bytes, found + 1))
      yield at + found;
  }
}

/** Whether all bytes from `from` to `to` are zero. */
export function allZero(source: Source, from: number, to: number): boolean {
  for (let at = from; at < to; at += AHEAD) {
    if (!isZero(source.read(at, Math.min(AHEAD, to - at)))) return false;
  }
  return true;
}

const ZEROS = Buffer.alloc(AHEAD);

/** Whether a piece of at most 256 KiB is all zeros; compares whole pieces, which is far faster than bytes. */
export function isZero(bytes: Buffer): boolean {
  for (let at = 0; at < bytes.length; at += AHEAD) {
    const piece = bytes.subarray(at, at + AHEAD);
    if (!piece.equals(ZEROS.subarray(0, piece.length))) return false;
  }
  return true;
}
