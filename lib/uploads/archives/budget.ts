import type { ParsedArchiveLimits } from './limits.js';
import { ArchiveRefused } from './refused.js';

/** Content up to this is never refused for its ratio. */
export const RATIO_GRACE = 10 * 1024 * 1024;

/** What names, comments and extra headers may take: for the archive, and for each entry that is allowed. */
const METADATA_BASE = 1024 * 1024;
const METADATA_PER_ENTRY = 512;

/** Counts the work of one inspection over all nested archives, and refuses what goes over a limit. */
export class Budget {
  entries = 0;
  decodedBytes = 0;
  readonly limits: ParsedArchiveLimits;
  readonly maxEntrySize: number;
  readonly #archiveBytes: number;
  readonly #deadline: number;
  readonly #now: () => number;
  #metadataBytes = 0;

  /** @param archiveBytes The size of the outer archive. @param now A monotonic clock, in milliseconds. */
  constructor(limits: ParsedArchiveLimits, archiveBytes: number, now: () => number) {
    this.limits = limits;
    this.maxEntrySize = limits.maxEntrySize ?? limits.maxUncompressed;
    this.#archiveBytes = archiveBytes;
    this.#now = now;
    this.#deadline = now() + limits.maxInspect;
  }

  /** Call it between any two pieces of work. */
  checkTime(): void {
    if (this.#now() <= this.#deadline) return;
    throw over('ARCHIVE_INSPECTION_TIMEOUT', 'max-inspect', this.limits.maxInspect / 1000, {
      message: 'the archive takes too long to inspect',
    });
  }

  /** Takes entries as seen, before any work on them. */
  addEntries(entries: number): void {
    this.checkEntries(entries);
    this.entries += entries;
  }

  /** Refuses a number of entries that are only announced as yet. */
  checkEntries(more: number): void {
    if (this.entries + more <= this.limits.maxEntries) return;
    throw over('ARCHIVE_TOO_MANY_ENTRIES', 'max-entries', this.limits.maxEntries, {
      message: 'the archive has too many entries',
      received: this.entries + more,
    });
  }

  /** Takes names, comments and extra headers, which are content too and are held in memory. */
  addMetadata(bytes: number): void {
    this.#metadataBytes += bytes;
    const allowed = METADATA_BASE + METADATA_PER_ENTRY * this.limits.maxEntries;
    if (this.#metadataBytes <= allowed) return;
    throw over('ARCHIVE_METADATA_TOO_LARGE', 'metadata', allowed, {
      message: 'names, comments and extra headers of the archive are too large',
    });
  }

  /** Takes bytes that came out of decoding. */
  addDecoded(bytes: number): void {
    this.checkDecoded(bytes);
    this.decodedBytes += bytes;
  }

  /** Refuses bytes that are only announced as yet. */
  checkDecoded(more: number): void {
    const total = this.decodedBytes + more;
    if (total > this.limits.maxUncompressed) {
      throw over('ARCHIVE_UNCOMPRESSED_TOO_LARGE', 'max-uncompressed', this.limits.maxUncompressed, {
        message: 'the content of the archive is too large',
        received: total,
      });
    }
    this.checkRatio(total, this.#archiveBytes);
  }

  /** Refuses an entry by its size, announced or decoded so far. */
  checkEntry(entry: string, bytes: number, encodedBytes: number): void {
    if (bytes > this.maxEntrySize) {
      throw over('ARCHIVE_ENTRY_TOO_LARGE', 'max-entry-size', this.maxEntrySize, {
        message: 'an entry of the archive is too large',
        received: bytes,
        entry,
      });
    }
    this.checkRatio(bytes, encodedBytes, entry);
  }

  /** Refuses content for what it was decoded from. */
  checkRatio(bytes: number, encodedBytes: number, entry?: string): void {
    if (bytes <= RATIO_GRACE || bytes <= encodedBytes * this.limits.maxRatio) return;
    throw over('ARCHIVE_RATIO_TOO_HIGH', 'max-ratio', this.limits.maxRatio, {
      message: 'the content is too large for the size of the archive',
      received: Math.ceil(bytes / Math.max(1, encodedBytes)),
      entry,
    });
  }
}

type LimitCode = ConstructorParameters<typeof ArchiveRefused>[0];

function over(
  code: LimitCode,
  limit: string,
  allowed: number,
  { message, received, entry }: { message: string; received?: number; entry?: string | undefined },
): ArchiveRefused {
  return new ArchiveRefused(code, message, entry, {
    limit,
    allowed,
    ...(received === undefined ? {} : { received }),
  });
}
