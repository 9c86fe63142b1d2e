import { randomBytes } from 'node:crypto';
import { createWriteStream } from 'node:fs';
import { rm } from 'node:fs/promises';
import type { IncomingMessage } from 'node:http';
import { join } from 'node:path';
import { pipeline, type Readable } from 'node:stream';
import { ownTempDir } from './temp-dir.js';

/** A file of a form, in multer's shape. */
export interface UploadedFile {
  /** The name of the form's field. */
  fieldname: string;
  /** The name that the client gave, without folders. Never use it as a path. */
  originalname: string;
  /** The transfer encoding that the client named; nearly always `7bit`. */
  encoding: string;
  /** The media type that the client named. Anything can be behind it. */
  mimetype: string;
  /** Bytes. */
  size: number;
  /** The directory of `path`, where files are stored on disk. */
  destination?: string;
  /** The name in `destination`, made up at random. */
  filename?: string;
  /** Where the file is, until the response has ended. */
  path?: string;
}

/**
 * Where files go: the two methods of multer's `StorageEngine`, so engines made for multer fit. `_handleFile` must read
 * `file.stream` to its end and then call back, with what it wants to add to the file's object. `_removeFile` is called
 * for each stored file of a request that is refused afterwards.
 */
export interface UploadStorage {
  _handleFile(
    req: IncomingMessage,
    file: UploadedFile & { stream: Readable },
    callback: (error?: unknown, info?: Partial<UploadedFile>) => void,
  ): void;
  _removeFile(req: IncomingMessage, file: UploadedFile, callback: (error: Error | null) => void): void;
}

/** Fewer and larger writes than with Node's 16 KiB, a fifth cheaper: this is what a file may hold in memory. */
const WRITE_BUFFER = 1024 * 1024;

/** Files on disk, in this process's own directory in `parent`. */
export class TempStorage implements UploadStorage {
  readonly #parent: string;

  constructor(parent: string) {
    this.#parent = parent;
  }

  _handleFile(
    _req: IncomingMessage,
    file: UploadedFile & { stream: Readable },
    callback: (error?: unknown, info?: Partial<UploadedFile>) => void,
  ): void {
    ownTempDir(this.#parent).then((destination) => {
      const filename = randomBytes(16).toString('hex');
      const path = join(destination, filename);
      const target = createWriteStream(path, { flags: 'wx', mode: 0o600, highWaterMark: WRITE_BUFFER });
      pipeline(file.stream, target, (error) => {
        if (!error) return callback(null, { destination, filename, path });
        // While the file is still being opened, removing it would come too early.
        const remove = (): void => void rm(path, { force: true }).then(() => callback(error), callback);
        if (target.closed) remove();
        else target.once('close', remove);
      });
    }, callback);
  }

  _removeFile(_req: IncomingMessage, file: UploadedFile, callback: (error: Error | null) => void): void {
    rm(file.path!, { force: true }).then(() => callback(null), callback);
  }
}
