import { count, duration, listOf, numberAbove, oneOf, optional, size, withDefault } from '../../options.js';
import type { Checks } from '../../options.js';
import type { Duration, Size } from '../../units.js';

/** The formats that are looked into. `tgz` is another name of `tar.gz`. */
export type ArchiveFormat = 'zip' | 'tar' | 'tar.gz';

/** What an archive may be and hold. Everything that is counted is counted over nested archives too. */
export interface ArchiveLimits {
  /** The formats accepted, recognised by content. @default ['zip', 'tar', 'tar.gz'] */
  formats?: (ArchiveFormat | 'tgz')[];
  /** Bytes of the archive itself, at least 1. @default '1gb' */
  maxSize?: Size;
  /** Entries, folders included, up to 500,000. @default 10_000 */
  maxEntries?: number;
  /** Bytes that come out of all decoding, nested archives included. @default '10gb' */
  maxUncompressed?: Size;
  /** Bytes of any one entry. @default the same as `maxUncompressed` */
  maxEntrySize?: Size;
  /**
   * How many times larger than the archive its content may be, and an entry's than the entry; above 1. Judged only
   * past 10 MiB of content: small files of repeated text are rightly small. @default 100
   */
  maxRatio?: number;
  /** How many archives may be inside one another: 0 accepts none in the archive, 1 one level. @default 1 */
  maxDepth?: number;
  /**
   * `strict` refuses all that two programs may read differently. `lenient` accepts what careless but honest programs
   * write: a prefix (self-extracting), backslashes, links that stay inside; and what can't be checked: compression
   * methods other than deflate, by the size they announce, and nested archives of other formats, as plain files.
   * @default 'strict'
   */
  mode?: 'strict' | 'lenient';
  /** The longest an inspection may take, from 1 ms to 1 h. Waiting for a free worker doesn't count. @default '30s' */
  maxInspect?: Duration;
}

/** The same, complete and parsed: bytes and milliseconds. */
export interface ParsedArchiveLimits {
  formats: ArchiveFormat[];
  maxSize: number;
  maxEntries: number;
  maxUncompressed: number;
  maxEntrySize: number | undefined;
  maxRatio: number;
  maxDepth: number;
  mode: 'strict' | 'lenient';
  maxInspect: number;
}

const GIB = 1024 ** 3;

/** An hour: nothing of an inspection that is older than a day can be in use, so leftovers are told by their age. */
const LONGEST_INSPECTION_MS = 3_600_000;

/** As many as fit into a worker's memory, which holds their names and places. */
const MOST_ENTRIES = 500_000;

const inspectionTime = (value: unknown, option: string): number =>
  count({ min: 1, max: LONGEST_INSPECTION_MS })(duration({ min: 1 })(value, option), option);

const atLeastOneByte = (value: unknown, option: string): number =>
  count({ min: 1 })(size(value, option), option);

const format = (value: unknown, option: string): ArchiveFormat => {
  const named = oneOf('zip', 'tar', 'tar.gz', 'tgz')(value, option);
  return named === 'tgz' ? 'tar.gz' : named;
};

/** The checks of `ArchiveLimits`, for the middleware, for plans and for `inspectArchive`. */
export const archiveLimitChecks: Checks<ParsedArchiveLimits> = {
  formats: withDefault(listOf(format), ['zip', 'tar', 'tar.gz']),
  maxSize: withDefault(atLeastOneByte, GIB),
  maxEntries: withDefault(count({ max: MOST_ENTRIES }), 10_000),
  maxUncompressed: withDefault(size, 10 * GIB),
  maxEntrySize: optional(size),
  maxRatio: withDefault(numberAbove(1), 100),
  maxDepth: withDefault(count({ max: 16 }), 1),
  mode: withDefault(oneOf('strict', 'lenient'), 'strict'),
  maxInspect: withDefault(inspectionTime, 30_000),
};
