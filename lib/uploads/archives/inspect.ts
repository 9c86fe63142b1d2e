import { Budget } from './budget.js';
import { EntryContent, type Inspection } from './content.js';
import { gunzip, PIECE_BYTES } from './inflate.js';
import type { ArchiveFormat, ParsedArchiveLimits } from './limits.js';
import { HEAD_BYTES, recognise, recogniseHead } from './recognise.js';
import { ArchiveRefused, showName, type ArchiveCode } from './refused.js';
import { isZero, type Source } from './source.js';
import { sourceInput, streamInput, type TarInput } from './tar/input.js';
import { readTar } from './tar/read.js';
import { endsAsZip } from './zip/end.js';
import { readZip } from './zip/read.js';

/** An archive that kept all limits. */
export interface ArchiveAccepted {
  ok: true;
  /** Of the archive itself; what is nested in it may be of others. */
  format: ArchiveFormat;
  /** Files, folders and links, those of nested archives included. */
  entries: number;
  /** Bytes that came out of decoding, of nested archives once more: what `maxUncompressed` counts. */
  uncompressedBytes: number;
}

/** An archive that is refused. */
export interface ArchiveRejected {
  ok: false;
  /** Stable, for programs; docs/reference/errors.md lists them all. */
  code: ArchiveCode;
  /** One sentence for people. */
  message: string;
  /** The entry concerned, with the way to it through nested archives; bounded, printable characters only. */
  entry?: string;
  /** The limit that was passed, as `max-entries` for `maxEntries`; `metadata` follows from that too. */
  limit?: string;
  /** What the limit allows, and what came where that is known: bytes, a number, a ratio or seconds. */
  allowed?: number;
  received?: number;
}

export type ArchiveOutcome = ArchiveAccepted | ArchiveRejected;

export interface InspectOptions {
  limits: ParsedArchiveLimits;
  /** A folder for nested archives that are too large for memory; made when needed, removed by who names it. */
  folder: string;
  /** A monotonic clock. */
  now: () => number;
}

/**
 * Inspects an archive in this thread. A refusal is a value; what is thrown is an error of the file system or of ours.
 */
export async function inspectSource(
  source: Source,
  { limits, folder, now }: InspectOptions,
): Promise<ArchiveOutcome> {
  const budget = new Budget(limits, source.size, now);
  try {
    const format = await readOuter(source, { budget, depth: 0, folder, readNested });
    return { ok: true, format, entries: budget.entries, uncompressedBytes: budget.decodedBytes };
  } catch (error) {
    if (!(error instanceof ArchiveRefused)) throw error;
    return rejected(error);
  }
}

/** A refusal as a value. */
export function rejected({ code, message, entry, passed }: ArchiveRefused): ArchiveRejected {
  return { ok: false, code, message, ...(entry === undefined ? {} : { entry: showName(entry) }), ...passed };
}

async function readOuter(source: Source, inspection: Inspection): Promise<ArchiveFormat> {
  const { formats, maxSize } = inspection.budget.limits;
  const recognised = recognise(source);
  if (recognised === undefined)
    throw new ArchiveRefused('ARCHIVE_NOT_RECOGNISED', 'the content is no archive of a known format');
  const name = typeof recognised === 'object' ? recognised.unsupported : formatNames[recognised];
  if (typeof recognised === 'object' || !formats.includes(formatNames[recognised]))
    throw new ArchiveRefused(
      'ARCHIVE_FORMAT_UNSUPPORTED',
      `${name} is not accepted here, only ${formats.join(', ') || 'none'}`,
    );
  if (source.size > maxSize)
    throw new ArchiveRefused('ARCHIVE_TOO_LARGE', 'the archive is too large', undefined, {
      limit: 'max-size',
      allowed: maxSize,
      received: source.size,
    });
  await readFormat(source, recognised, inspection);
  return formatNames[recognised];
}

const formatNames = { zip: 'zip', tar: 'tar', gz: 'tar.gz' } as const;

const readNested: Inspection['readNested'] = async (source, format, outer) => {
  outer.budget.checkTime();
  await readFormat(source, format, { ...outer, depth: outer.depth + 1 });
};

async function readFormat(
  source: Source,
  format: 'zip' | 'tar' | 'gz',
  inspection: Inspection,
): Promise<void> {
  if (format === 'zip') {
    await readZip(source, inspection);
    return;
  }
  if (endsAsZip(source))
    throw new ArchiveRefused('ARCHIVE_AMBIGUOUS', `the file is a ${formatNames[format]} and a zip at once`);
  if (format === 'tar') await readTar(sourceInput(source), inspection, false);
  else await readGzip(source, inspection);
}

/** A compressed tar is one archive. Of a compressed single file, which may come nested, the content is looked at. */
async function readGzip(source: Source, inspection: Inspection): Promise<void> {
  const pieces = counted(source, inspection);
  try {
    const input = streamInput(pieces);
    const head = await input.peek(HEAD_BYTES);
    const outer = inspection.depth === 0;
    if (recogniseHead(head) === 'tar' || (outer && head.length === HEAD_BYTES && isZero(head)))
      await readTar(input, inspection, true);
    else if (outer) throw new ArchiveRefused('ARCHIVE_FORMAT_UNSUPPORTED', 'gzip is accepted of a tar only');
    else await readSingle(input, source.size, inspection);
  } finally {
    await pieces.return(undefined);
  }
}

async function* counted(source: Source, { budget }: Inspection): AsyncGenerator<Buffer, undefined> {
  let bytes = 0;
  for await (const piece of gunzip(source)) {
    bytes += piece.length;
    budget.checkTime();
    budget.addDecoded(piece.length);
    budget.checkRatio(bytes, source.size);
    yield piece;
  }
  return undefined;
}

async function readSingle(input: TarInput, encodedBytes: number, inspection: Inspection): Promise<void> {
  const content = new EntryContent(inspection, GZIP_CONTENT);
  let bytes = 0;
  try {
    for (let piece = await input.take(PIECE_BYTES); piece.length > 0; piece = await input.take(PIECE_BYTES)) {
      bytes += piece.length;
      inspection.budget.checkEntry(GZIP_CONTENT, bytes, encodedBytes);
      content.write(piece);
    }
    await content.end();
  } finally {
    content.drop();
  }
}

/** What a gzip file holds has no name that could be trusted. */
const GZIP_CONTENT = '(content)';
