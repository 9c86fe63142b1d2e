import { EntryContent, type Inspection } from '../content.js';
import { crc32 } from '../crc32.js';
import { inflate } from '../inflate.js';
import { checkLinkTarget, checkName, NameRegister } from '../names.js';
import { ArchiveRefused } from '../refused.js';
import { pieces, type Source } from '../source.js';
import { readDirectory, type ZipEntry } from './directory.js';
import { findEnd } from './end.js';
import { layOut, type PlacedEntry } from './layout.js';

const STORED = 0;
const DEFLATED = 8;

/** What is read in one piece with its surroundings. */
const SMALL_BYTES = 64 * 1024;

/** A link's target longer than this can't be made. */
const LONGEST_TARGET = 4096;

/**
 * Inspects a zip: its directory, then all local headers and places, then every byte of its content. Whatever can be
 * told without decoding is told first, so that a bomb costs its attacker more than it costs us.
 *
 * @throws {ArchiveRefused}
 */
export async function readZip(source: Source, inspection: Inspection): Promise<void> {
  const { budget } = inspection;
  const end = findEnd(source, budget.limits.mode);
  const entries = readDirectory(source, end, budget);
  checkNames(entries, budget.limits.mode);
  checkSizes(entries, inspection);
  for (const entry of layOut(source, end, entries, budget)) {
    budget.checkTime();
    await readContent(source, entry, inspection);
  }
}

function checkNames(entries: ZipEntry[], mode: 'strict' | 'lenient'): void {
  const register = new NameRegister(mode);
  for (const { name, unicodeName, kind } of entries) {
    if (kind === 'link' && mode === 'strict')
      throw new ArchiveRefused('ARCHIVE_LINK', 'an entry is a symbolic link', name);
    const path = checkName(name, mode);
    register.add(path, kind, name);
    if (unicodeName === undefined || unicodeName === name) continue;
    // Programs that read this name see another path, which must be as good and as free.
    const other = checkName(unicodeName, mode);
    if (other !== path) register.add(other, kind, unicodeName);
  }
}

function checkSizes(entries: ZipEntry[], { budget }: Inspection): void {
  let announced = 0;
  for (const { name, size, compressedSize, method } of entries) {
    if (method === STORED && size !== compressedSize)
      throw new ArchiveRefused(
        'ARCHIVE_SIZE_MISMATCH',
        'an entry that is not compressed has two sizes',
        name,
      );
    if (method !== STORED && method !== DEFLATED && budget.limits.mode === 'strict')
      throw new ArchiveRefused(
        'ARCHIVE_METHOD_UNSUPPORTED',
        `an entry is compressed with method ${method}, which is not looked into`,
        name,
      );
    budget.checkEntry(name, size, compressedSize);
    announced += size;
  }
  budget.checkDecoded(announced);
}

async function readContent(source: Source, entry: PlacedEntry, inspection: Inspection): Promise<void> {
  const { name, method, size, compressedSize, dataAt } = entry;
  const { budget } = inspection;
  if (method !== STORED && method !== DEFLATED) {
    // lenient: it can't be decoded here, so its announced size counts.
    budget.addDecoded(size);
    return;
  }
  const content = new EntryContent(inspection, name);
  const target: Buffer[] = [];
  let bytes = 0;
  let crc = 0;
  const take = (piece: Buffer): void => {
    budget.checkTime();
    budget.addDecoded(piece.length);
    bytes += piece.length;
    crc = crc32(piece, crc);
    content.write(piece);
    if (entry.kind === 'link' && bytes <= LONGEST_TARGET) target.push(Buffer.from(piece));
  };
  try {
    if (method === DEFLATED)
      await inflate({ source, position: dataAt, length: compressedSize, size, entry: name }, take);
    else if (size <= SMALL_BYTES) take(source.read(dataAt, size));
    else for (const piece of pieces(source, dataAt, size)) take(piece);
    checkDecoded(entry, bytes, crc);
    if (entry.kind === 'link') checkLink(entry, bytes, Buffer.concat(target).toString());
    await content.end();
  } finally {
    content.drop();
  }
}

function checkDecoded({ name, size, crc }: ZipEntry, bytes: number, decodedCrc: number): void {
  if (bytes !== size)
    throw new ArchiveRefused(
      'ARCHIVE_SIZE_MISMATCH',
      `an entry is ${bytes > size ? 'larger' : 'smaller'} than it says`,
      name,
    );
  if (decodedCrc !== crc)
    throw new ArchiveRefused('ARCHIVE_CRC_MISMATCH', 'an entry has another checksum than its content', name);
}

function checkLink({ name }: ZipEntry, bytes: number, target: string): void {
  if (bytes > LONGEST_TARGET)
    throw new ArchiveRefused('ARCHIVE_LINK', 'a link has a target that is too long', name);
  checkLinkTarget(checkName(name, 'lenient'), target);
}
