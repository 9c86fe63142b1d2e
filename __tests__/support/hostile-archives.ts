import { crc32, deflateRawSync, gzipSync } from 'node:zlib';
import type { ArchiveLimits } from '../../lib/uploads/archives/limits.js';
import type { ArchiveCode } from '../../lib/uploads/archives/refused.js';
import { pax, paxData, tarEnd, writeEntries, writeTar } from './tar-writer.js';
import {
  descriptor,
  endRecord,
  extraField,
  le,
  writeOverlapping,
  writeZip,
  type ZipEntrySpec,
} from './zip-writer.js';

/** An attack, and how it is refused. */
export interface Hostile {
  attack: string;
  make: () => Buffer;
  code: ArchiveCode;
  /** What lenient mode answers: the same code unless told; `ok` where it lets the archive through. */
  lenient?: ArchiveCode | 'ok';
  limits?: ArchiveLimits;
}

const MIB = 1024 * 1024;
const file = (name: string | Buffer, more: Partial<ZipEntrySpec> = {}): ZipEntrySpec => ({
  name,
  data: 'content',
  ...more,
});
const zipNamed =
  (...names: (string | Buffer)[]): (() => Buffer) =>
  () =>
    writeZip(names.map((name) => file(name)));
const tarNamed =
  (...names: (string | Buffer)[]): (() => Buffer) =>
  () =>
    writeTar(names.map((name) => ({ name, data: 'content' })));

const unicodePath = (raw: string, path: string): Buffer =>
  extraField(0x7075, Buffer.concat([Buffer.from([1]), le([crc32(raw), 4]), Buffer.from(path)]));

const zeros = (bytes: number): Buffer => gzipSync(Buffer.alloc(bytes));

/** Zips inside one another, the innermost given. */
const nested = (depth: number, inner: Buffer): Buffer =>
  depth === 0 ? inner : writeZip([{ name: `${depth}.zip`, data: nested(depth - 1, inner) }]);

const small = (): Buffer => writeZip([file('a.txt')]);

const DESCRIPTOR = { both: { flags: 8 }, local: { crc: 0, compressedSize: 0, size: 0 } };

const unix = (mode: number): Partial<ZipEntrySpec> => ({ both: { attributes: mode * 0x1_0000 } });

export const hostileZips: Hostile[] = [
  {
    attack: 'entries that overlap, each quoting the next (Fifield)',
    make: () => writeOverlapping(100, 4 * MIB),
    code: 'ARCHIVE_OVERLAP',
    limits: { maxRatio: 1e9, maxUncompressed: '1tb' },
  },
  {
    attack: 'the same, stopped by what it announces alone',
    make: () => writeOverlapping(100, 4 * MIB),
    code: 'ARCHIVE_RATIO_TOO_HIGH',
  },
  {
    attack: 'two directory entries for one file',
    make: () => writeZip([file('a.txt'), { ...file('b.txt'), central: { offset: 0 }, unwritten: true }]),
    code: 'ARCHIVE_OVERLAP',
  },
  {
    attack: 'an entry that reaches into the directory',
    make: () => writeZip([file('a.txt', { method: 0, both: { compressedSize: 60, size: 60 } })]),
    code: 'ARCHIVE_OVERLAP',
  },
  {
    attack: 'a bomb that announces its size',
    make: () => writeZip([{ name: 'zeros', data: Buffer.alloc(16 * MIB) }]),
    code: 'ARCHIVE_RATIO_TOO_HIGH',
  },
  {
    attack: 'a bomb that announces a small size',
    make: () => writeZip([{ name: 'zeros', data: Buffer.alloc(16 * MIB), both: { size: 100 } }]),
    code: 'ARCHIVE_SIZE_MISMATCH',
  },
  {
    attack: 'a small entry that announces a smaller size',
    make: () => writeZip([file('a.txt', { both: { size: 3 } })]),
    code: 'ARCHIVE_SIZE_MISMATCH',
  },
  {
    attack: 'an entry that announces a larger size',
    make: () => writeZip([file('a.txt', { both: { size: 30 } })]),
    code: 'ARCHIVE_SIZE_MISMATCH',
  },
  {
    attack: 'a stored entry of two sizes',
    make: () => writeZip([file('a.txt', { method: 0, both: { size: 1000 } })]),
    code: 'ARCHIVE_SIZE_MISMATCH',
  },
  {
    attack: 'many entries that are too large together',
    make: () => writeZip([0, 1, 2].map((index) => ({ name: `${index}`, data: Buffer.alloc(MIB) }))),
    code: 'ARCHIVE_UNCOMPRESSED_TOO_LARGE',
    limits: { maxUncompressed: '2mb' },
  },
  {
    attack: 'one entry that is too large',
    make: () => writeZip([{ name: 'a', data: Buffer.alloc(MIB) }]),
    code: 'ARCHIVE_ENTRY_TOO_LARGE',
    limits: { maxEntrySize: '1000kb' },
  },
  {
    attack: 'too many entries',
    make: () => writeZip(Array.from({ length: 11 }, (_, index) => file(`${index}`))),
    code: 'ARCHIVE_TOO_MANY_ENTRIES',
    limits: { maxEntries: 10 },
  },
  {
    attack: 'too many entries, fewer announced',
    make: () =>
      writeZip(
        Array.from({ length: 11 }, (_, index) => file(`${index}`)),
        { end: { entries: 2, entriesHere: 2 } },
      ),
    code: 'ARCHIVE_TOO_MANY_ENTRIES',
    limits: { maxEntries: 10 },
  },
  {
    attack: 'fewer entries announced',
    make: () => writeZip([file('a'), file('b')], { end: { entries: 1, entriesHere: 1 } }),
    code: 'ARCHIVE_COUNT_MISMATCH',
  },
  {
    attack: 'more entries announced',
    make: () => writeZip([file('a')], { end: { entries: 2, entriesHere: 2 } }),
    code: 'ARCHIVE_COUNT_MISMATCH',
  },
  {
    attack: 'names and comments of a megabyte',
    make: () =>
      writeZip(
        [...Array(20).keys()].map((index) =>
          file(`${index}`, { central: { comment: Buffer.alloc(65_000) } }),
        ),
      ),
    code: 'ARCHIVE_METADATA_TOO_LARGE',
    limits: { maxEntries: 100 },
  },
  {
    attack: 'a local header with another name',
    make: () => writeZip([file('a.txt', { local: { name: 'b.txt' } })]),
    code: 'ARCHIVE_HEADER_MISMATCH',
  },
  {
    attack: 'a local header with another method',
    make: () => writeZip([file('a.txt', { local: { method: 0 } })]),
    code: 'ARCHIVE_HEADER_MISMATCH',
  },
  {
    attack: 'a local header with another size',
    make: () => writeZip([file('a.txt', { local: { size: 8 } })]),
    code: 'ARCHIVE_HEADER_MISMATCH',
  },
  {
    attack: 'a local header with another compressed size',
    make: () => writeZip([file('a.txt', { local: { compressedSize: 8 } })]),
    code: 'ARCHIVE_HEADER_MISMATCH',
  },
  {
    attack: 'a local header with another checksum',
    make: () => writeZip([file('a.txt', { local: { crc: 8 } })]),
    code: 'ARCHIVE_HEADER_MISMATCH',
  },
  {
    attack: 'a local header with other flags',
    make: () => writeZip([file('a.txt', { local: { flags: 1 << 11 } })]),
    code: 'ARCHIVE_HEADER_MISMATCH',
    lenient: 'ok',
  },
  {
    attack: 'a local header with another time',
    make: () => writeZip([file('a.txt', { local: { time: 1 } })]),
    code: 'ARCHIVE_HEADER_MISMATCH',
    lenient: 'ok',
  },
  {
    attack: 'a data descriptor that says another thing',
    make: () =>
      writeZip([file('a.txt', { ...DESCRIPTOR, after: (fields) => descriptor({ ...fields, size: 8 }) })]),
    code: 'ARCHIVE_HEADER_MISMATCH',
  },
  {
    attack: 'a data descriptor that is missing',
    make: () => writeZip([file('a.txt', DESCRIPTOR)]),
    code: 'ARCHIVE_HEADER_MISMATCH',
  },
  {
    attack: 'a zip64 field that says another thing than the header',
    make: () => writeZip([file('a.txt', { central: { extra: extraField(1, le([1000, 8], [9, 8])) } })]),
    code: 'ARCHIVE_HEADER_MISMATCH',
    lenient: 'ok',
  },
  {
    attack: 'a zip64 field twice',
    make: () => {
      const one = extraField(1, le([7, 8]));
      return writeZip([file('a.txt', { central: { size: 0xffffffff, extra: Buffer.concat([one, one]) } })]);
    },
    code: 'ARCHIVE_AMBIGUOUS',
  },
  {
    attack: 'a zip64 field that is too short',
    make: () =>
      writeZip([file('a.txt', { central: { size: 0xffffffff, extra: extraField(1, le([7, 4])) } })]),
    code: 'ARCHIVE_CORRUPT',
  },
  {
    attack: 'broken extra fields',
    make: () => writeZip([file('a.txt', { both: { extra: le([1, 2], [500, 2], [1, 4]) } })]),
    code: 'ARCHIVE_CORRUPT',
    lenient: 'ok',
  },
  {
    attack: 'a second end of the directory within the comment of the first',
    make: () => {
      const inner = endRecord({
        disk: 0,
        directoryDisk: 0,
        entriesHere: 0,
        entries: 0,
        directorySize: 0,
        directoryOffset: 0,
        commentLength: 0,
      });
      return writeZip([file('a.txt')], { comment: inner });
    },
    code: 'ARCHIVE_AMBIGUOUS',
  },
  {
    attack: 'zip64 end records that contradict the end record',
    make: () => writeZip([file('a.txt'), file('b.txt')], { zip64: { entries: 1, entriesHere: 1 } }),
    code: 'ARCHIVE_AMBIGUOUS',
  },
  {
    attack: 'a zip64 locator that leads elsewhere',
    make: () =>
      writeZip([file('a.txt')], {
        zip64: { recordAt: 0 },
        afterDirectory: Buffer.alloc(10),
        end: { directorySize: 9 },
      }),
    code: 'ARCHIVE_AMBIGUOUS',
  },
  {
    attack: 'data before the beginning',
    make: () => writeZip([file('a.txt')], { prefix: Buffer.from('#!/bin/sh\n') }),
    code: 'ARCHIVE_PREFIX',
    lenient: 'ok',
  },
  {
    attack: 'data before the beginning that the offsets count',
    make: () => writeZip([file('a.txt')], { prefix: Buffer.from('#!/bin/sh\n'), prefixCounted: true }),
    code: 'ARCHIVE_PREFIX',
    lenient: 'ok',
  },
  {
    attack: 'a whole zip before the beginning',
    make: () => writeZip([file('a.txt')], { prefix: small(), prefixCounted: true }),
    code: 'ARCHIVE_PREFIX',
    lenient: 'ARCHIVE_AMBIGUOUS',
  },
  {
    attack: 'two zips one after another',
    make: () => Buffer.concat([small(), small()]),
    code: 'ARCHIVE_PREFIX',
    lenient: 'ARCHIVE_AMBIGUOUS',
  },
  {
    attack: 'a picture that is a zip as well',
    make: () => writeZip([file('a.txt')], { prefix: Buffer.from('\xff\xd8\xff\xe0picture', 'latin1') }),
    code: 'ARCHIVE_PREFIX',
    lenient: 'ok',
  },
  {
    attack: 'data after the end',
    make: () => writeZip([file('a.txt')], { trailing: Buffer.from('more') }),
    code: 'ARCHIVE_TRAILING_DATA',
  },
  {
    attack: 'zeros after the end',
    make: () => writeZip([file('a.txt')], { trailing: Buffer.alloc(100) }),
    code: 'ARCHIVE_TRAILING_DATA',
    lenient: 'ok',
  },
  {
    attack: 'an entry that the directory does not list',
    make: () => writeZip([file('a.txt'), file('hidden.txt', { unlisted: true }), file('b.txt')]),
    code: 'ARCHIVE_HIDDEN_DATA',
  },
  {
    attack: 'an unlisted entry before the directory',
    make: () => writeZip([file('a.txt'), file('hidden.txt', { unlisted: true })]),
    code: 'ARCHIVE_HIDDEN_DATA',
  },
  {
    attack: 'other data between the entries',
    make: () => writeZip([file('a.txt', { after: Buffer.from('more') }), file('b.txt')]),
    code: 'ARCHIVE_HIDDEN_DATA',
    lenient: 'ok',
  },
  {
    attack: 'data after the end of an entry',
    make: () =>
      writeZip([file('a.txt', { raw: Buffer.concat([deflateRawSync('content'), Buffer.from('more')]) })]),
    code: 'ARCHIVE_CORRUPT',
  },
  { attack: 'a path upwards', make: zipNamed('../a.txt'), code: 'ARCHIVE_PATH_TRAVERSAL' },
  { attack: 'a path upwards within', make: zipNamed('a/../../b.txt'), code: 'ARCHIVE_PATH_TRAVERSAL' },
  {
    attack: 'a path upwards with backslashes',
    make: zipNamed('a\\..\\..\\b.txt'),
    code: 'ARCHIVE_PATH_TRAVERSAL',
  },
  {
    attack: 'a path upwards as Windows reads it',
    make: zipNamed('.. /a.txt'),
    code: 'ARCHIVE_PATH_TRAVERSAL',
  },
  { attack: 'an absolute path', make: zipNamed('/etc/passwd'), code: 'ARCHIVE_PATH_ABSOLUTE' },
  { attack: 'a path with a drive', make: zipNamed('C:\\a.txt'), code: 'ARCHIVE_PATH_ABSOLUTE' },
  { attack: 'a path relative to a drive', make: zipNamed('c:a.txt'), code: 'ARCHIVE_PATH_ABSOLUTE' },
  { attack: 'a path on another machine', make: zipNamed('\\\\host\\share'), code: 'ARCHIVE_PATH_ABSOLUTE' },
  { attack: 'a backslash', make: zipNamed('a\\b.txt'), code: 'ARCHIVE_NAME_INVALID', lenient: 'ok' },
  { attack: 'a NUL in a name', make: zipNamed('a.txt\0.jpg'), code: 'ARCHIVE_NAME_INVALID' },
  { attack: 'no name', make: zipNamed(''), code: 'ARCHIVE_NAME_INVALID' },
  { attack: 'a name of 5,000 characters', make: zipNamed('a'.repeat(5000)), code: 'ARCHIVE_NAME_INVALID' },
  {
    attack: 'a name in UTF-8 that is none (an overlong slash)',
    make: () => writeZip([file(Buffer.from('..\xc0\xafa', 'latin1'), { both: { flags: 1 << 11 } })]),
    code: 'ARCHIVE_NAME_INVALID',
  },
  {
    attack: 'a path upwards in the Unicode name only',
    make: () => writeZip([file('a.txt', { both: { extra: unicodePath('a.txt', '../a.txt') } })]),
    code: 'ARCHIVE_PATH_TRAVERSAL',
  },
  {
    attack: 'a path upwards in the local Unicode name only',
    make: () => writeZip([file('a.txt', { local: { extra: unicodePath('a.txt', '../a.txt') } })]),
    code: 'ARCHIVE_PATH_TRAVERSAL',
  },
  { attack: 'one name twice', make: zipNamed('a.txt', 'b.txt', 'a.txt'), code: 'ARCHIVE_DUPLICATE_NAME' },
  {
    attack: 'one name twice, written differently',
    make: zipNamed('a/b', './a//b'),
    code: 'ARCHIVE_DUPLICATE_NAME',
  },
  {
    attack: 'one name in two cases',
    make: zipNamed('a.txt', 'A.TXT'),
    code: 'ARCHIVE_DUPLICATE_NAME',
    lenient: 'ok',
  },
  {
    attack: 'one name with its accent written in two ways',
    make: zipNamed('\u00e9.txt', 'e\u0301.txt'),
    code: 'ARCHIVE_DUPLICATE_NAME',
    lenient: 'ok',
  },
  { attack: 'a file below a file', make: zipNamed('a', 'a/b'), code: 'ARCHIVE_DUPLICATE_NAME' },
  { attack: 'a file in the place of a folder', make: zipNamed('a/b', 'a'), code: 'ARCHIVE_DUPLICATE_NAME' },
  {
    attack: 'two names of which one is the other entry’s Unicode name',
    make: () => writeZip([file('a.txt'), file('b.txt', { both: { extra: unicodePath('b.txt', 'a.txt') } })]),
    code: 'ARCHIVE_DUPLICATE_NAME',
  },
  {
    attack: 'a symbolic link out of the archive',
    make: () => writeZip([{ name: 'link', data: '/etc/passwd', ...unix(0o120777) }]),
    code: 'ARCHIVE_LINK',
  },
  {
    attack: 'a symbolic link up and out',
    make: () => writeZip([{ name: 'a/link', data: '../../b', ...unix(0o120777) }]),
    code: 'ARCHIVE_LINK',
  },
  {
    attack: 'a symbolic link that is one to Windows only by its mode',
    make: () =>
      writeZip([{ name: 'link', data: '/etc', both: { madeBy: 20, attributes: 0o120777 * 0x1_0000 } }]),
    code: 'ARCHIVE_LINK',
  },
  {
    attack: 'a file written through a link',
    make: () => writeZip([{ name: 'link', data: 'folder', ...unix(0o120777) }, file('link/a.txt')]),
    code: 'ARCHIVE_LINK',
  },
  {
    attack: 'a link that stays inside',
    make: () => writeZip([file('b/a.txt'), { name: 'c/link', data: '../b/a.txt', ...unix(0o120777) }]),
    code: 'ARCHIVE_LINK',
    lenient: 'ok',
  },
  {
    attack: 'a device',
    make: () => writeZip([file('device', unix(0o020666))]),
    code: 'ARCHIVE_SPECIAL_FILE',
  },
  {
    attack: 'encryption',
    make: () => writeZip([file('a', { both: { flags: 1 } })]),
    code: 'ARCHIVE_ENCRYPTED',
  },
  {
    attack: 'strong encryption',
    make: () => writeZip([file('a', { both: { flags: 1 << 6 } })]),
    code: 'ARCHIVE_ENCRYPTED',
  },
  { attack: 'AES', make: () => writeZip([file('a', { both: { method: 99 } })]), code: 'ARCHIVE_ENCRYPTED' },
  {
    attack: 'encryption in the local header only',
    make: () => writeZip([file('a', { local: { flags: 1 } })]),
    code: 'ARCHIVE_ENCRYPTED',
  },
  {
    attack: 'a wrong checksum',
    make: () => writeZip([file('a.txt', { both: { crc: 1 } })]),
    code: 'ARCHIVE_CRC_MISMATCH',
  },
  {
    attack: 'a method that is not known',
    make: () => writeZip([file('a.txt', { method: 12 })]),
    code: 'ARCHIVE_METHOD_UNSUPPORTED',
    lenient: 'ok',
  },
  {
    attack: 'a bomb in a method that is not known',
    make: () => writeZip([file('a.txt', { method: 12, both: { size: 1e9 } })]),
    code: 'ARCHIVE_METHOD_UNSUPPORTED',
    lenient: 'ARCHIVE_RATIO_TOO_HIGH',
  },
  {
    attack: 'a part of a split zip',
    make: () => writeZip([file('a.txt')], { end: { disk: 1, directoryDisk: 1 } }),
    code: 'ARCHIVE_MULTI_DISK',
  },
  {
    attack: 'an entry of another part',
    make: () => writeZip([file('a.txt', { central: { disk: 1 } })]),
    code: 'ARCHIVE_MULTI_DISK',
  },
  {
    attack: 'archives inside one another',
    make: () => nested(2, small()),
    code: 'ARCHIVE_TOO_DEEP',
  },
  {
    attack: 'a nested archive where none may be',
    make: () => nested(1, small()),
    code: 'ARCHIVE_TOO_DEEP',
    limits: { maxDepth: 0 },
  },
  {
    attack: 'a bomb inside an archive',
    make: () => nested(1, writeZip([{ name: 'zeros', data: Buffer.alloc(16 * MIB) }])),
    code: 'ARCHIVE_RATIO_TOO_HIGH',
  },
  {
    attack: 'many archives of which each keeps the limits',
    make: () =>
      writeZip(
        [...Array(8).keys()].map((index) => ({
          name: `${index}.zip`,
          data: writeZip([{ name: 'zeros', data: Buffer.alloc(9 * MIB) }]),
        })),
      ),
    code: 'ARCHIVE_RATIO_TOO_HIGH',
  },
  {
    attack: 'a path upwards inside a nested archive',
    make: () => nested(1, zipNamed('../a')()),
    code: 'ARCHIVE_PATH_TRAVERSAL',
  },
  {
    attack: 'a nested archive behind so many empty blocks that its first byte comes out alone',
    make: () => {
      const inner = zipNamed('../a')();
      const block = (bytes: Buffer, last = 0): Buffer =>
        Buffer.concat([Buffer.from([last]), le([bytes.length, 2], [~bytes.length & 0xffff, 2]), bytes]);
      const empty = Array<Buffer>(60_000).fill(block(Buffer.alloc(0)));
      const raw = Buffer.concat([block(inner.subarray(0, 1)), ...empty, block(inner.subarray(1), 1)]);
      return writeZip([{ name: 'a.zip', data: inner, raw }]);
    },
    code: 'ARCHIVE_PATH_TRAVERSAL',
  },
  {
    attack: 'a nested archive that is not looked into',
    make: () => writeZip([{ name: 'a.xz', data: Buffer.from('fd377a585a000004', 'hex') }]),
    code: 'ARCHIVE_FORMAT_UNSUPPORTED',
    lenient: 'ok',
  },
  { attack: 'a zip that is cut off', make: () => small().subarray(0, -30), code: 'ARCHIVE_TRUNCATED' },
  {
    attack: 'a comment that is cut off',
    make: () => writeZip([file('a')], { comment: Buffer.from('comment') }).subarray(0, -3),
    code: 'ARCHIVE_TRUNCATED',
  },
  {
    attack: 'compressed data that is cut off',
    make: () => writeZip([{ name: 'a', data: 'content', raw: deflateRawSync('content').subarray(0, -3) }]),
    code: 'ARCHIVE_TRUNCATED',
  },
  {
    attack: 'compressed data that is broken',
    make: () => writeZip([file('a', { raw: Buffer.from('ffffffffffffffff', 'hex') })]),
    code: 'ARCHIVE_CORRUPT',
  },
  {
    attack: 'a directory outside the file',
    make: () => writeZip([file('a')], { end: { directoryOffset: 1e9 } }),
    code: 'ARCHIVE_CORRUPT',
  },
  {
    attack: 'an archive that is too large',
    make: small,
    code: 'ARCHIVE_TOO_LARGE',
    limits: { maxSize: 100 },
  },
  {
    attack: 'a format that is not wanted',
    make: small,
    code: 'ARCHIVE_FORMAT_UNSUPPORTED',
    limits: { formats: ['tgz'] },
  },
];

export const hostileTars: Hostile[] = [
  { attack: 'a path upwards', make: tarNamed('../a'), code: 'ARCHIVE_PATH_TRAVERSAL' },
  { attack: 'an absolute path', make: tarNamed('/etc/passwd'), code: 'ARCHIVE_PATH_ABSOLUTE' },
  {
    attack: 'a path upwards by the prefix field',
    make: () => writeTar([{ name: 'a', prefix: '..', data: 'content' }]),
    code: 'ARCHIVE_PATH_TRAVERSAL',
  },
  {
    attack: 'a path upwards in an extended header',
    make: () => writeTar([pax({ path: '../a' }), { name: 'a', data: 'content' }]),
    code: 'ARCHIVE_PATH_TRAVERSAL',
  },
  {
    attack: 'a path upwards that an extended header hides',
    make: () => writeTar([pax({ path: 'a' }), { name: '../a', data: 'content' }]),
    code: 'ARCHIVE_PATH_TRAVERSAL',
  },
  {
    attack: 'a NUL in the name of an extended header',
    make: () => writeTar([pax({ path: 'a\0b' }), { name: 'a', data: 'content' }]),
    code: 'ARCHIVE_NAME_INVALID',
  },
  {
    attack: 'a path upwards in a long name of GNU’s',
    make: () =>
      writeTar([
        { name: '././@LongLink', type: 'L', data: '../a\0' },
        { name: 'a', data: 'content' },
      ]),
    code: 'ARCHIVE_PATH_TRAVERSAL',
  },
  {
    attack: 'two long names that disagree',
    make: () =>
      writeTar([{ name: 'L', type: 'L', data: 'a\0' }, pax({ path: 'b' }), { name: 'a', data: 'content' }]),
    code: 'ARCHIVE_AMBIGUOUS',
  },
  {
    attack: 'two extended headers for one entry',
    make: () => writeTar([pax({ path: 'a' }), pax({ path: 'b' }), { name: 'a', data: 'content' }]),
    code: 'ARCHIVE_AMBIGUOUS',
  },
  {
    attack: 'an extended header that says a thing twice',
    make: () =>
      writeTar([
        pax([
          ['path', 'a'],
          ['path', 'b'],
        ]),
        { name: 'a', data: 'content' },
      ]),
    code: 'ARCHIVE_AMBIGUOUS',
  },
  {
    attack: 'a name that holds for all entries',
    make: () => writeTar([pax({ path: 'a' }, 'g'), { name: 'a', data: 'content' }]),
    code: 'ARCHIVE_AMBIGUOUS',
  },
  {
    attack: 'a size that only some programs see',
    make: () => writeTar([pax({ size: '2048' }), { name: 'a', data: 'content' }]),
    code: 'ARCHIVE_HEADER_MISMATCH',
  },
  {
    attack: 'a broken extended header',
    make: () =>
      writeTar([
        { name: 'x', type: 'x', data: '99 path=a\n' },
        { name: 'a', data: 'content' },
      ]),
    code: 'ARCHIVE_CORRUPT',
  },
  {
    attack: 'an extended header of a length below zero',
    make: () =>
      writeTar([
        { name: 'x', type: 'x', data: '-5 path=a\n' },
        { name: 'a', data: 'content' },
      ]),
    code: 'ARCHIVE_CORRUPT',
  },
  {
    attack: 'an extended header for no entry',
    make: () => writeTar([pax({ path: 'a' })]),
    code: 'ARCHIVE_TRUNCATED',
  },
  {
    attack: 'extended headers of megabytes together',
    make: () =>
      writeTar(
        [...Array(8).keys()].flatMap((index) => [
          pax({ comment: 'a'.repeat(200_000) }),
          { name: `${index}`, data: 'content' },
        ]),
      ),
    code: 'ARCHIVE_METADATA_TOO_LARGE',
    limits: { maxEntries: 100 },
  },
  {
    attack: 'one extended header that announces gigabytes',
    make: () => writeTar([{ name: 'x', type: 'x', size: 0o70000000000, data: paxData({ path: 'a' }) }]),
    code: 'ARCHIVE_METADATA_TOO_LARGE',
  },
  {
    attack: 'a symbolic link out of the archive',
    make: () => writeTar([{ name: 'link', type: '2', linkName: '/etc' }]),
    code: 'ARCHIVE_LINK',
  },
  {
    attack: 'a symbolic link up and out',
    make: () => writeTar([{ name: 'link', type: '2', linkName: '../a' }]),
    code: 'ARCHIVE_LINK',
  },
  {
    attack: 'a link out of the archive by way of another link',
    make: () =>
      writeTar([
        { name: 'd', type: '2', linkName: '.' },
        { name: 'out', type: '2', linkName: 'd/d/../../..' },
      ]),
    code: 'ARCHIVE_LINK',
  },
  {
    attack: 'a file written through a link',
    make: () =>
      writeTar([
        { name: 'link', type: '2', linkName: 'folder' },
        { name: 'link/a', data: 'content' },
      ]),
    code: 'ARCHIVE_LINK',
  },
  {
    attack: 'a link that takes the place of a file’s folder',
    make: () =>
      writeTar([
        { name: 'a/b', data: 'content' },
        { name: 'a', type: '2', linkName: 'c' },
      ]),
    code: 'ARCHIVE_LINK',
    lenient: 'ARCHIVE_DUPLICATE_NAME',
  },
  {
    attack: 'a hard link out of the archive',
    make: () => writeTar([{ name: 'link', type: '1', linkName: '/etc/passwd' }]),
    code: 'ARCHIVE_LINK',
    lenient: 'ARCHIVE_PATH_ABSOLUTE',
  },
  {
    attack: 'a hard link to what is not there',
    make: () => writeTar([{ name: 'link', type: '1', linkName: 'a' }]),
    code: 'ARCHIVE_LINK',
  },
  {
    attack: 'a hard link with data',
    make: () =>
      writeTar([
        { name: 'a', data: 'content' },
        { name: 'link', type: '1', linkName: 'a', data: 'content' },
      ]),
    code: 'ARCHIVE_LINK',
    lenient: 'ARCHIVE_HEADER_MISMATCH',
  },
  {
    attack: 'a folder with data',
    make: () => writeTar([{ name: 'a/', type: '5', data: 'content' }]),
    code: 'ARCHIVE_HEADER_MISMATCH',
  },
  {
    attack: 'a character device',
    make: () => writeTar([{ name: 'a', type: '3' }]),
    code: 'ARCHIVE_SPECIAL_FILE',
  },
  {
    attack: 'a block device',
    make: () => writeTar([{ name: 'a', type: '4' }]),
    code: 'ARCHIVE_SPECIAL_FILE',
  },
  { attack: 'a pipe', make: () => writeTar([{ name: 'a', type: '6' }]), code: 'ARCHIVE_SPECIAL_FILE' },
  {
    attack: 'a part of a file',
    make: () => writeTar([{ name: 'a', type: 'M' }]),
    code: 'ARCHIVE_SPECIAL_FILE',
  },
  {
    attack: 'an unknown kind',
    make: () => writeTar([{ name: 'a', type: '~' }]),
    code: 'ARCHIVE_SPECIAL_FILE',
  },
  {
    attack: 'a kind of some vendor’s',
    make: () => writeTar([{ name: 'a', type: 'V' }]),
    code: 'ARCHIVE_SPECIAL_FILE',
    lenient: 'ok',
  },
  { attack: 'a sparse file', make: () => writeTar([{ name: 'a', type: 'S' }]), code: 'ARCHIVE_SPARSE' },
  {
    attack: 'a sparse file by extended header',
    make: () => writeTar([pax({ 'GNU.sparse.realsize': '999999999999' }), { name: 'a', data: 'content' }]),
    code: 'ARCHIVE_SPARSE',
  },
  { attack: 'one name twice', make: tarNamed('a', 'a'), code: 'ARCHIVE_DUPLICATE_NAME' },
  {
    attack: 'one name in two cases',
    make: tarNamed('a', 'A'),
    code: 'ARCHIVE_DUPLICATE_NAME',
    lenient: 'ok',
  },
  {
    attack: 'entries after the end',
    make: () => writeTar([{ name: 'a', data: 'content' }], writeEntries([{ name: '../b', data: 'content' }])),
    code: 'ARCHIVE_TRAILING_DATA',
  },
  {
    attack: 'entries after one empty block',
    make: () =>
      Buffer.concat([
        writeEntries([{ name: 'a' }]),
        Buffer.alloc(512),
        writeTar([{ name: '../b', data: 'content' }]),
      ]),
    code: 'ARCHIVE_TRAILING_DATA',
  },
  {
    attack: 'no end',
    make: () => writeEntries([{ name: 'a', data: 'content' }]),
    code: 'ARCHIVE_TRUNCATED',
    lenient: 'ok',
  },
  {
    attack: 'an entry that is cut off',
    make: () => writeEntries([{ name: 'a', data: Buffer.alloc(4096) }]).subarray(0, 2048),
    code: 'ARCHIVE_TRUNCATED',
  },
  {
    attack: 'a header that is cut off',
    make: () => writeEntries([{ name: 'a', data: 'content' }, { name: 'b' }]).subarray(0, 1200),
    code: 'ARCHIVE_TRUNCATED',
  },
  {
    attack: 'a size below zero',
    make: () => writeTar([{ name: 'a', size: Buffer.alloc(12, 0xff) }]),
    code: 'ARCHIVE_CORRUPT',
  },
  {
    attack: 'a size that no file can have',
    make: () => writeTar([{ name: 'a', size: Buffer.from([0x80, ...Array<number>(11).fill(0xff)]) }]),
    code: 'ARCHIVE_CORRUPT',
  },
  {
    attack: 'a size that is no number',
    make: () => writeTar([{ name: 'a', size: Buffer.from('1x000000000\0') }]),
    code: 'ARCHIVE_CORRUPT',
  },
  {
    attack: 'a broken header after a good one',
    make: () => writeTar([{ name: 'a' }, { name: 'b', checksum: 1 }]),
    code: 'ARCHIVE_CORRUPT',
  },
  {
    attack: 'a size of terabytes',
    make: () => writeTar([{ name: 'a', size: Buffer.from([0x80, 0, 0, 0, 0, 0, 0xff, 0, 0, 0, 0, 0]) }]),
    code: 'ARCHIVE_ENTRY_TOO_LARGE',
  },
  {
    attack: 'too many entries',
    make: tarNamed(...Array.from({ length: 11 }, (_, index) => `${index}`)),
    code: 'ARCHIVE_TOO_MANY_ENTRIES',
    limits: { maxEntries: 10 },
  },
  {
    attack: 'a nested bomb',
    make: () => writeTar([{ name: 'a.gz', data: zeros(16 * MIB) }]),
    code: 'ARCHIVE_RATIO_TOO_HIGH',
  },
  {
    attack: 'archives inside one another',
    make: () => writeTar([{ name: 'a.tar', data: writeTar([{ name: 'b.gz', data: gzipSync(small()) }]) }]),
    code: 'ARCHIVE_TOO_DEEP',
  },
  {
    attack: 'a tar that is a zip as well',
    make: () =>
      Buffer.concat([
        writeEntries([{ name: 'a', data: 'content' }]),
        writeZip([file('../b')], { prefix: Buffer.alloc(0) }),
      ]),
    code: 'ARCHIVE_AMBIGUOUS',
  },
];

export const hostileGzips: Hostile[] = [
  {
    attack: '64 MiB of empty blocks, which hold no entry at all',
    make: () => zeros(64 * MIB),
    code: 'ARCHIVE_RATIO_TOO_HIGH',
  },
  {
    attack: 'the same after an entry',
    make: () => gzipSync(writeTar([{ name: 'a', data: 'content' }], Buffer.alloc(64 * MIB))),
    code: 'ARCHIVE_RATIO_TOO_HIGH',
  },
  {
    attack: 'a bomb in an entry',
    make: () => gzipSync(writeTar([{ name: 'a', data: Buffer.alloc(16 * MIB) }])),
    code: 'ARCHIVE_RATIO_TOO_HIGH',
  },
  {
    attack: 'a bomb in many members',
    make: () => {
      const entries = [...Array(8).keys()].map((index) => ({ name: `${index}`, data: Buffer.alloc(MIB) }));
      return Buffer.concat([...entries.map((entry) => gzipSync(writeEntries([entry]))), gzipSync(tarEnd)]);
    },
    code: 'ARCHIVE_UNCOMPRESSED_TOO_LARGE',
    limits: { maxUncompressed: '4mb' },
  },
  {
    attack: 'data after the last member',
    make: () => Buffer.concat([gzipSync(writeTar([{ name: 'a' }])), Buffer.from('more')]),
    code: 'ARCHIVE_CORRUPT',
  },
  {
    attack: 'data after zeros after the last member',
    make: () => Buffer.concat([gzipSync(writeTar([{ name: 'a' }])), Buffer.alloc(100), Buffer.from('more')]),
    code: 'ARCHIVE_TRAILING_DATA',
  },
  {
    attack: 'a gzip that is cut off',
    make: () => gzipSync(writeTar([{ name: 'a', data: 'content' }])).subarray(0, -9),
    code: 'ARCHIVE_TRUNCATED',
  },
  {
    attack: 'a wrong checksum',
    make: () => {
      const bytes = gzipSync(writeTar([{ name: 'a', data: 'content' }]));
      bytes.writeUInt32LE(1, bytes.length - 8);
      return bytes;
    },
    code: 'ARCHIVE_CORRUPT',
  },
  { attack: 'a path upwards', make: () => gzipSync(tarNamed('../a')()), code: 'ARCHIVE_PATH_TRAVERSAL' },
  { attack: 'gzip of what is no tar', make: () => gzipSync('content'), code: 'ARCHIVE_FORMAT_UNSUPPORTED' },
  {
    attack: 'gzip of gzip',
    make: () => gzipSync(gzipSync(writeTar([{ name: 'a' }]))),
    code: 'ARCHIVE_FORMAT_UNSUPPORTED',
  },
  {
    attack: 'a gzip that is a zip as well',
    make: () => Buffer.concat([gzipSync(writeTar([{ name: 'a' }])), small()]),
    code: 'ARCHIVE_AMBIGUOUS',
  },
];

export const hostileArchives: Hostile[] = [...hostileZips, ...hostileTars, ...hostileGzips];
