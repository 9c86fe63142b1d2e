import { closeSync, mkdirSync, openSync, unlinkSync, writeSync } from 'node:fs';
import { join } from 'node:path';
import { randomUUID } from 'node:crypto';
import { bufferSource, fileSource, type Source } from './source.js';

/** Nested archives up to this are held in memory, larger ones in a temporary file. */
const IN_MEMORY_BYTES = 4 * 1024 * 1024;

/** Holds a nested archive as it comes out of its outer one, so that it can be read at any place. */
export class Spool {
  readonly #folder: string;
  #pieces: Buffer[] = [];
  #bytes = 0;
  #file: { path: string; fd: number } | undefined;

  /** @param folder Is made when it is first needed; who names it removes it. */
  constructor(folder: string) {
    this.#folder = folder;
  }

  write(piece: Buffer): void {
    this.#bytes += piece.length;
    // A copy: what comes in may share its memory with what comes next.
    this.#pieces.push(Buffer.from(piece));
    if (this.#bytes > IN_MEMORY_BYTES) this.#flush();
  }

  /** What was written, to be closed by the caller. Nothing can be written after it. */
  source(): Source {
    if (this.#file === undefined) return bufferSource(Buffer.concat(this.#pieces));
    this.#flush();
    const { path, fd } = this.#file;
    closeSync(fd);
    this.#file = undefined;
    const source = fileSource(path);
    return {
      ...source,
      close: () => {
        source.close();
        unlinkSync(path);
      },
    };
  }

  /** Lets go of what was written, where it isn't read. */
  drop(): void {
    this.#pieces = [];
    if (this.#file === undefined) return;
    closeSync(this.#file.fd);
    unlinkSync(this.#file.path);
    this.#file = undefined;
  }

  #flush(): void {
    this.#file ??= this.#open();
    for (const piece of this.#pieces) writeAll(this.#file.fd, piece);
    this.#pieces = [];
  }

  #open(): { path: string; fd: number } {
    mkdirSync(this.#folder, { recursive: true, mode: 0o700 });
    const path = join(this.#folder, randomUUID());
    return { path, fd: openSync(path, 'wx', 0o600) };
  }
}

function writeAll(fd: number, piece: Buffer): void {
  for (let written = 0; written < piece.length;) written += writeSync(fd, piece, written);
}
