import { EntryContent, type Inspection } from '../content.js';
import { checkLinkTarget, checkName, NameRegister, type EntryKind } from '../names.js';
import { ArchiveRefused } from '../refused.js';
import { HEAD_BYTES } from '../recognise.js';
import { isZero } from '../source.js';
import { BLOCK, decodeName, LARGEST_OCTAL_SIZE, parseHeader, type TarHeader } from './header.js';
import { takeAll, takePieces, type TarInput } from './input.js';
import { parsePax, type PaxRecords } from './pax.js';

/** What headers in front of an entry say about it. */
interface Extended {
  pax?: PaxRecords;
  gnuName?: string;
  gnuLinkName?: string;
}

/**
 * Inspects a tar, header by header.
 *
 * @param decoded Whether the bytes came out of a decoder, which has counted them already.
 * @throws {ArchiveRefused}
 */
export async function readTar(input: TarInput, inspection: Inspection, decoded: boolean): Promise<void> {
  const { budget } = inspection;
  const register = new NameRegister(budget.limits.mode);
  let extended: Extended = {};
  for (;;) {
    budget.checkTime();
    const block = await input.take(BLOCK);
    if (block.length < BLOCK || isZero(block)) {
      if (Object.keys(extended).length > 0)
        throw new ArchiveRefused('ARCHIVE_TRUNCATED', 'the tar ends before the entry of an extended header');
      await readEnd(input, block, inspection);
      return;
    }
    const header = parseHeader(block);
    if (await readExtended(input, header, extended, inspection)) continue;
    await readEntry(input, apply(header, extended, inspection), { inspection, register, decoded });
    extended = {};
  }
}

/** Two blocks of zeros and more of them, then nothing. Many programs write fewer, some programs stop at the first. */
async function readEnd(input: TarInput, first: Buffer, { budget }: Inspection): Promise<void> {
  const strict = budget.limits.mode === 'strict';
  if (!isZero(first)) throw new ArchiveRefused('ARCHIVE_TRUNCATED', 'the tar ends within a header');
  let bytes = first.length;
  for (;;) {
    budget.checkTime();
    const block = await input.take(BLOCK * 128);
    if (!isZero(block))
      throw new ArchiveRefused('ARCHIVE_TRAILING_DATA', 'there is data after the end of the tar');
    bytes += block.length;
    if (block.length < BLOCK * 128) break;
  }
  if (strict && bytes < 2 * BLOCK)
    throw new ArchiveRefused('ARCHIVE_TRUNCATED', 'the tar has no end blocks; it may be cut off');
}

/** Reads a header that only says more about the next entry. */
async function readExtended(
  input: TarInput,
  { type, size }: TarHeader,
  extended: Extended,
  { budget }: Inspection,
): Promise<boolean> {
  if (!'xXgLK'.includes(type)) return false;
  budget.addMetadata(size + BLOCK);
  const data = await takeAll(input, size);
  if (type === 'L') once(extended, 'gnuName', gnuText(data));
  else if (type === 'K') once(extended, 'gnuLinkName', gnuText(data));
  else if (type === 'g') checkGlobal(parsePax(data));
  else once(extended, 'pax', parsePax(data));
  await skipPadding(input, size);
  return true;
}

function once<K extends keyof Extended>(extended: Extended, key: K, value: NonNullable<Extended[K]>): void {
  if (extended[key] !== undefined)
    throw new ArchiveRefused('ARCHIVE_AMBIGUOUS', 'an entry of the tar has two extended headers of a kind');
  extended[key] = value;
}

const gnuText = (data: Buffer): string => {
  const end = data.indexOf(0);
  return decodeName(end === -1 ? data : data.subarray(0, end));
};

/** Comments and times may hold for all entries; a name or a size for all can only be meant to mislead. */
function checkGlobal(records: PaxRecords): void {
  if (Object.keys(records).length > 0)
    throw new ArchiveRefused('ARCHIVE_AMBIGUOUS', 'the tar has a name or a size that holds for all entries');
}

function apply(
  header: TarHeader,
  { pax = {}, gnuName, gnuLinkName }: Extended,
  inspection: Inspection,
): TarHeader {
  const name = pick(pax.path, gnuName) ?? header.name;
  const linkName = pick(pax.linkpath, gnuLinkName) ?? header.linkName;
  if (pax.sparse || header.type === 'S')
    throw new ArchiveRefused('ARCHIVE_SPARSE', 'an entry is a sparse file', name);
  let { size } = header;
  if (pax.size !== undefined && pax.size !== size) {
    // A program that doesn't know the field goes on reading elsewhere. Only a size too large for octal needs it.
    if (pax.size <= LARGEST_OCTAL_SIZE)
      throw new ArchiveRefused('ARCHIVE_HEADER_MISMATCH', 'an entry has two sizes that disagree', name);
    size = pax.size;
  }
  // An entry's other name is what a program sees that doesn't know extended headers.
  if (name !== header.name && header.name !== '') checkName(header.name, inspection.budget.limits.mode);
  return { name, size, linkName, type: header.type };
}

function pick(pax: string | undefined, gnu: string | undefined): string | undefined {
  if (pax !== undefined && gnu !== undefined && pax !== gnu)
    throw new ArchiveRefused('ARCHIVE_AMBIGUOUS', 'an entry has two long names that disagree', pax);
  return pax ?? gnu;
}

interface Reading {
  inspection: Inspection;
  register: NameRegister;
  decoded: boolean;
}

async function readEntry(input: TarInput, header: TarHeader, reading: Reading): Promise<void> {
  const { inspection, register, decoded } = reading;
  const { budget } = inspection;
  const { name, size } = header;
  budget.addEntries(1);
  budget.addMetadata(name.length + header.linkName.length);
  const kind = kindOf(header, budget.limits.mode);
  const path = checkName(name, budget.limits.mode);
  if (kind === 'link') checkLink(header, path, register, budget.limits.mode);
  register.add(path, kind, name);
  if (kind !== 'file' && size > 0)
    // Some programs skip the data of such an entry, others take it for the next header.
    throw new ArchiveRefused('ARCHIVE_HEADER_MISMATCH', 'an entry that is no file has a size', name);
  budget.checkEntry(name, size, size);
  if (decoded) budget.checkDecoded(0);
  else budget.addDecoded(size);
  await readContent(input, name, size, inspection);
  await skipPadding(input, size);
}

function kindOf({ name, type }: TarHeader, mode: 'strict' | 'lenient'): EntryKind {
  if (type === '0' || type === '7') return name.endsWith('/') ? 'folder' : 'file';
  if (type === '5') return 'folder';
  if (type === '1' || type === '2') {
    if (mode === 'lenient') return 'link';
    throw new ArchiveRefused(
      'ARCHIVE_LINK',
      `an entry is a ${type === '1' ? 'hard' : 'symbolic'} link`,
      name,
    );
  }
  // POSIX has unknown types read as files; a part of a file that began in another archive is of no use as one.
  if (mode === 'lenient' && type !== 'M' && /[A-Z]/.test(type)) return 'file';
  if ('346'.includes(type))
    throw new ArchiveRefused('ARCHIVE_SPECIAL_FILE', 'an entry is a device or a pipe', name);
  throw new ArchiveRefused('ARCHIVE_SPECIAL_FILE', 'an entry is of a kind that is not known', name);
}

function checkLink(
  { type, linkName }: TarHeader,
  path: string,
  register: NameRegister,
  mode: 'strict' | 'lenient',
): void {
  if (type === '2') {
    checkLinkTarget(path, linkName);
    return;
  }
  // A hard link is a second name of a file that came before, and of nothing else.
  if (!register.hasFile(checkName(linkName, mode)))
    throw new ArchiveRefused('ARCHIVE_LINK', 'a hard link leads to what is no file of the archive', path);
}

async function readContent(
  input: TarInput,
  name: string,
  size: number,
  inspection: Inspection,
): Promise<void> {
  if (size === 0) return;
  const content = new EntryContent(inspection, name);
  try {
    const head = Math.min(size, HEAD_BYTES);
    content.write(await takeAll(input, head));
    if (size > head && content.isPlain) {
      await input.skip(size - head);
      return;
    }
    for await (const piece of takePieces(input, size - head)) {
      inspection.budget.checkTime();
      content.write(piece);
    }
    await content.end();
  } finally {
    content.drop();
  }
}

/** Entries are filled up to whole blocks; at the very end some programs leave that out. */
async function skipPadding(input: TarInput, size: number): Promise<void> {
  const padding = (BLOCK - (size % BLOCK)) % BLOCK;
  if (padding > 0) await input.take(padding);
}
