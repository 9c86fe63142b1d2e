import { ArchiveRefused } from '../refused.js';
import { PIECE_BYTES } from '../inflate.js';
import type { Source } from '../source.js';

/** A tar's bytes from beginning to end. */
export interface TarInput {
  /** The next bytes, fewer only at the end. They may share their memory with those that come next. */
  take(length: number): Promise<Buffer>;
  /** @throws {ArchiveRefused} `ARCHIVE_TRUNCATED` where there are fewer. */
  skip(length: number): Promise<void>;
}

/** A plain tar: what need not be seen isn't read. */
export function sourceInput(source: Source): TarInput {
  let at = 0;
  return {
    async take(length) {
      const got = Math.min(length, source.size - at);
      at += got;
      return source.read(at - got, got);
    },
    async skip(length) {
      if (length > source.size - at) throw cutOff();
      at += length;
    },
  };
}

/** Bytes that come out of a decoder. */
export interface StreamInput extends TarInput {
  /** The next bytes, fewer only at the end, without taking them. */
  peek(length: number): Promise<Buffer>;
}

/** A tar that comes out of a decoder. */
export function streamInput(pieces: AsyncIterator<Buffer>): StreamInput {
  let piece: Buffer = Buffer.alloc(0);
  // At the end the last piece stays as it is.
  const next = async (): Promise<boolean> => {
    const result = await pieces.next();
    if (result.done) return false;
    piece = result.value;
    return true;
  };
  return {
    async peek(length) {
      for (let before = piece; piece.length < length && (await next()); before = piece)
        piece = Buffer.concat([before, piece]);
      return piece.subarray(0, length);
    },
    async take(length) {
      if (piece.length < length) {
        const parts: Buffer[] = [];
        let missing = length;
        do {
          const part = piece.subarray(0, missing);
          piece = piece.subarray(part.length);
          missing -= part.length;
          parts.push(part);
        } while (missing > 0 && (await next()));
        return Buffer.concat(parts);
      }
      const taken = piece.subarray(0, length);
      piece = piece.subarray(length);
      return taken;
    },
    async skip(length) {
      let missing = length;
      for (;;) {
        const part = Math.min(missing, piece.length);
        piece = piece.subarray(part);
        missing -= part;
        if (missing === 0) return;
        if (!(await next())) throw cutOff();
      }
    },
  };
}

/** Exactly these bytes, which must be few enough to hold. */
export async function takeAll(input: TarInput, length: number): Promise<Buffer> {
  const bytes = await input.take(length);
  if (bytes.length < length) throw cutOff();
  return bytes;
}

/** The next bytes in pieces. */
export async function* takePieces(input: TarInput, length: number): AsyncGenerator<Buffer> {
  for (let missing = length; missing > 0;) {
    const piece = await takeAll(input, Math.min(missing, PIECE_BYTES));
    missing -= piece.length;
    yield piece;
  }
}

const cutOff = (): ArchiveRefused => new ArchiveRefused('ARCHIVE_TRUNCATED', 'the tar ends within an entry');
