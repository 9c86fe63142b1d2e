import busboy from 'busboy';
import type { IncomingMessage } from 'node:http';
import type { Readable } from 'node:stream';
import type { Refusal } from '../decision.js';
import { RequestError } from '../errors.js';
import { searchFaster } from './boundary-search.js';
import {
  fieldsTooLarge,
  fileTooLarge,
  malformedBody,
  tooManyFields,
  tooManyFiles,
  unsupportedType,
  uploadAborted,
} from './refusals.js';
import type { UploadedFile, UploadStorage } from './storage.js';
import { isAccepted } from './types.js';

/** What a form may hold. */
export interface FormLimits {
  /** Bytes of one file. */
  maxFile: number;
  maxFiles: number;
  maxFields: number;
  /** Bytes of all fields' names and values together; they are held in memory. */
  maxFieldBytes: number;
  /** Media types that files may say they have. @default all */
  types?: string[] | undefined;
}

/** A form as it was read. */
export interface Form {
  files: UploadedFile[];
  /** A field that comes more than once has a list. */
  fields: Record<string, string | string[]>;
}

/**
 * Reads a multipart form: fields into memory, files into the storage, each as it comes. When the form is refused or
 * the client goes away, nothing more is read and what was stored is removed.
 */
export class FormReader {
  readonly #req: IncomingMessage;
  readonly #limits: FormLimits;
  readonly #storage: UploadStorage;
  readonly #form: Form = { files: [], fields: Object.create(null) as Form['fields'] };
  readonly #stored = new Set<UploadedFile>();
  #parser: busboy.Busboy | undefined;
  #fields = 0;
  #fieldBytes = 0;
  /** Files that the storage has not called back for. */
  #storing = 0;
  #parsed = false;
  #settled = false;
  #resolve!: (outcome: Form | Refusal) => void;
  #reject!: (error: Error) => void;

  constructor(req: IncomingMessage, limits: FormLimits, storage: UploadStorage) {
    this.#req = req;
    this.#limits = limits;
    this.#storage = storage;
  }

  /** @throws {RequestError} `UPLOAD_FAILED` (500) when the storage fails. */
  read(): Promise<Form | Refusal> {
    return new Promise((resolve, reject) => {
      this.#resolve = resolve;
      this.#reject = reject;
      const { maxFile, maxFiles, maxFields, maxFieldBytes } = this.#limits;
      let parser: busboy.Busboy;
      try {
        // busboy cuts off at its limit also what is just as long, so it gets one more.
        const limits = {
          fileSize: maxFile + 1,
          fieldSize: maxFieldBytes + 1,
          parts: maxFields + maxFiles + 1,
        };
        parser = busboy({ headers: this.#req.headers, defParamCharset: 'utf8', limits });
      } catch (error) {
        this.stop(malformedBody((error as Error).message));
        return;
      }
      this.#parser = parser;
      searchFaster(parser);
      parser.on('field', (name: string | undefined, value) => this.#field(name, value));
      parser.on('file', (name: string | undefined, stream, info) => this.#file(name, stream, info));
      // Parts that are neither, which tell nothing of themselves.
      parser.on('partsLimit', () => this.stop(tooManyFields(maxFields)));
      parser.on('error', (error) => this.stop(malformedBody((error as Error).message)));
      parser.on('finish', () => {
        this.#parsed = true;
        this.#finish();
      });
      this.#req.once('close', this.#aborted);
      this.#req.pipe(parser);
    });
  }

  /** Ends the reading with a refusal. The second time it does nothing. */
  stop(refusal: Refusal): void {
    if (this.#settle()) this.#resolve(refusal);
  }

  #fail(cause: unknown): void {
    if (!this.#settle()) return;
    this.#reject(new RequestError('UPLOAD_FAILED', 500, "A file couldn't be stored", { cause }));
  }

  readonly #aborted = (): void => {
    // A request that was read to its end closes too, perhaps before its last file is stored.
    if (!this.#req.readableEnded) this.stop(uploadAborted());
  };

  #settle(): boolean {
    if (this.#settled) return false;
    this.#settled = true;
    this.#req.off('close', this.#aborted);
    if (this.#parser !== undefined) {
      this.#req.unpipe(this.#parser);
      // Not under the parser's feet: it would use the file that it was at, which destroying takes away.
      const parser = this.#parser;
      process.nextTick(() => parser.destroy());
    }
    for (const file of this.#stored) this.#remove(file);
    return true;
  }

  #finish(): void {
    if (this.#settled || !this.#parsed || this.#storing > 0) return;
    this.#settled = true;
    this.#req.off('close', this.#aborted);
    this.#resolve(this.#form);
  }

  #field(name: string | undefined, value: string): void {
    if (this.#settled) return;
    if (name === undefined) return this.stop(malformedBody('a field has no name'));
    if (!this.#addField()) return;
    this.#fieldBytes += Buffer.byteLength(name) + Buffer.byteLength(value);
    if (this.#fieldBytes > this.#limits.maxFieldBytes) {
      return this.stop(fieldsTooLarge(this.#limits.maxFieldBytes));
    }
    const { fields } = this.#form;
    const earlier = fields[name];
    if (earlier === undefined) fields[name] = value;
    else if (Array.isArray(earlier)) earlier.push(value);
    else fields[name] = [earlier, value];
  }

  #addField(): boolean {
    this.#fields += 1;
    if (this.#fields <= this.#limits.maxFields) return true;
    this.stop(tooManyFields(this.#limits.maxFields));
    return false;
  }

  #file(fieldname: string | undefined, stream: Readable, info: busboy.FileInfo): void {
    // A parser that is destroyed destroys the open file with an error that is told elsewhere.
    stream.on('error', () => {});
    // A browser sends a nameless file where none was chosen.
    if (this.#settled || !info.filename) {
      if (!this.#settled) this.#addField();
      return void stream.resume();
    }
    if (fieldname === undefined) return this.stop(malformedBody('a file has no field name'));
    const { types, maxFile, maxFiles } = this.#limits;
    const file: UploadedFile = {
      fieldname,
      originalname: info.filename,
      encoding: info.encoding,
      mimetype: info.mimeType,
      size: 0,
    };
    if (this.#form.files.length === maxFiles) return this.stop(tooManyFiles(maxFiles));
    if (types !== undefined && !isAccepted(types, info.mimeType)) {
      return this.stop(unsupportedType(types, info.mimeType, file));
    }
    stream.once('limit', () => this.stop(fileTooLarge(maxFile, undefined, file)));
    const push = stream.push.bind(stream);
    stream.push = (chunk: Buffer | null) => {
      file.size += chunk?.length ?? 0;
      return push(chunk);
    };
    this.#store(file, stream);
  }

  #store(file: UploadedFile, stream: Readable): void {
    this.#storing += 1;
    this.#form.files.push(file);
    const given = Object.defineProperty(file, 'stream', { value: stream, configurable: true });
    let called = false;
    const stored = (error?: unknown, info?: Partial<UploadedFile>): void => {
      if (called) return;
      called = true;
      this.#storing -= 1;
      if (error) return this.#fail(error);
      Reflect.deleteProperty(file, 'stream');
      Object.assign(file, info);
      if (this.#settled) this.#remove(file);
      else this.#stored.add(file);
      this.#finish();
    };
    try {
      this.#storage._handleFile(this.#req, given as UploadedFile & { stream: Readable }, stored);
    } catch (error) {
      stored(error);
    }
  }

  #remove(file: UploadedFile): void {
    try {
      // One that can't be removed now goes with the directory; for a storage of the app's own it is the app's to know.
      this.#storage._removeFile(this.#req, file, () => {});
    } catch {
      // As above.
    }
  }
}
