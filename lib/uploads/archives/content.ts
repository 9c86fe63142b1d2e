import type { Budget } from './budget.js';
import { HEAD_BYTES, recogniseHead, type Recognised } from './recognise.js';
import { ArchiveRefused } from './refused.js';
import type { Source } from './source.js';
import { Spool } from './spool.js';

/** What the readers share in one inspection. */
export interface Inspection {
  budget: Budget;
  /** 0 for the outer archive. */
  depth: number;
  /** Where nested archives may be put for the time of the inspection. */
  folder: string;
  /** Reads an archive inside this one; comes from outside because the readers can't know each other. */
  readNested(source: Source, format: 'zip' | 'tar' | 'gz', outer: Inspection): Promise<void>;
}

/** An entry's bytes as they come out: notices an archive by its first bytes, and looks into it at the end. */
export class EntryContent {
  readonly #inspection: Inspection;
  readonly #entry: string;
  #head: Buffer[] | undefined = [];
  #headBytes = 0;
  #spool: Spool | undefined;
  #format: 'zip' | 'tar' | 'gz' | undefined;

  constructor(inspection: Inspection, entry: string) {
    this.#inspection = inspection;
    this.#entry = entry;
  }

  /** Whether enough has come to know that this is no archive, so that the rest need not be shown. */
  get isPlain(): boolean {
    return this.#head === undefined && this.#spool === undefined;
  }

  /** @throws {ArchiveRefused} Where it is an archive that may not be here. */
  write(piece: Buffer): void {
    if (this.#head === undefined) {
      this.#spool?.write(piece);
      return;
    }
    this.#headBytes += piece.length;
    if (this.#headBytes < HEAD_BYTES) this.#head.push(Buffer.from(piece));
    else this.#decide(this.#head.length === 0 ? piece : Buffer.concat([...this.#head, piece]));
  }

  /** Looks into the content, where it is an archive. */
  async end(): Promise<void> {
    if (this.#head !== undefined && this.#headBytes > 0) this.#decide(Buffer.concat(this.#head));
    if (this.#spool === undefined || this.#format === undefined) return;
    const source = this.#spool.source();
    try {
      await this.#inspection.readNested(source, this.#format, this.#inspection);
    } catch (error) {
      if (error instanceof ArchiveRefused)
        error.entry = error.entry === undefined ? this.#entry : `${this.#entry}/${error.entry}`;
      throw error;
    } finally {
      source.close();
    }
  }

  /** Lets go of what it holds, where the entry isn't read to its end. */
  drop(): void {
    this.#spool?.drop();
  }

  #decide(start: Buffer): void {
    this.#head = undefined;
    const format = recogniseHead(start.subarray(0, HEAD_BYTES));
    if (format === undefined) return;
    this.#format = nestedFormat(format, this.#inspection, this.#entry);
    if (this.#format === undefined) return;
    this.#spool = new Spool(this.#inspection.folder);
    this.#spool.write(start);
  }
}

function nestedFormat(
  format: Recognised,
  { budget, depth }: Inspection,
  entry: string,
): 'zip' | 'tar' | 'gz' | undefined {
  const { maxDepth, mode } = budget.limits;
  if (typeof format === 'object') {
    // What can't be looked into is a file like any other in lenient mode, for unpackers that don't either.
    if (mode === 'lenient') return undefined;
    throw new ArchiveRefused(
      'ARCHIVE_FORMAT_UNSUPPORTED',
      `an entry is compressed in ${format.unsupported}, which is not looked into`,
      entry,
    );
  }
  if (depth < maxDepth) return format;
  throw new ArchiveRefused('ARCHIVE_TOO_DEEP', 'an archive is inside too many others', entry, {
    limit: 'max-depth',
    allowed: maxDepth,
    received: depth + 1,
  });
}
