import { gunzipSync, gzipSync } from 'node:zlib';
import { Readable } from 'node:stream';
import { BlobReader, ZipReader } from '@zip.js/zip.js';
import { extract } from 'tar-stream';
import { fromBufferPromise } from 'yauzl';
import type { ArchiveAccepted } from '../../../lib/uploads/archives/inspect.js';
import { codeOf, fixture, fixtureNames, inspect } from '../../support/archives.js';
import { pax, tarEnd, writeEntries, writeTar } from '../../support/tar-writer.js';
import { descriptor, extraField, le, writeZip, type ZipFields } from '../../support/zip-writer.js';

/** What is refused of the archives that real programs wrote, and why; all others are accepted in either mode. */
const refusedInStrict: Record<string, string> = {
  '7z-deflate64.zip': 'ARCHIVE_METHOD_UNSUPPORTED',
  '7z-lzma.zip': 'ARCHIVE_METHOD_UNSUPPORTED',
  'infozip-bzip2.zip': 'ARCHIVE_METHOD_UNSUPPORTED',
  'python-lzma.zip': 'ARCHIVE_METHOD_UNSUPPORTED',
  'bsdtar-streamed.zip': 'ARCHIVE_TRAILING_DATA',
  'dotnet-backslash.zip': 'ARCHIVE_NAME_INVALID',
  'gnutar-links.tar': 'ARCHIVE_LINK',
  'infozip-symlink.zip': 'ARCHIVE_LINK',
  'infozip-prefix.zip': 'ARCHIVE_PREFIX',
  'infozip-prefix-adjusted.zip': 'ARCHIVE_PREFIX',
};
const refusedAlways: Record<string, string> = {
  '7z-aes.zip': 'ARCHIVE_ENCRYPTED',
  'infozip-encrypted.zip': 'ARCHIVE_ENCRYPTED',
  'gnutar-sparse.tar': 'ARCHIVE_SPARSE',
  'refused.7z': 'ARCHIVE_FORMAT_UNSUPPORTED',
  'refused.bzip2': 'ARCHIVE_FORMAT_UNSUPPORTED',
  'refused.xz': 'ARCHIVE_FORMAT_UNSUPPORTED',
  'refused.zstd': 'ARCHIVE_FORMAT_UNSUPPORTED',
};

test.each(fixtureNames())('%s, as its program wrote it', async (name) => {
  const bytes = fixture(name);
  expect(await codeOf(bytes)).toBe(refusedInStrict[name] ?? refusedAlways[name] ?? 'ok');
  expect(await codeOf(bytes, { mode: 'lenient' })).toBe(refusedAlways[name] ?? 'ok');
});

test('the tables above name only archives that are there', () => {
  const named = [...Object.keys(refusedInStrict), ...Object.keys(refusedAlways)];
  expect(fixtureNames()).toEqual(expect.arrayContaining(named));
});

describe('the same entries and bytes are counted as by other readers:', () => {
  const readable = fixtureNames().filter((name) => !(name in refusedAlways));
  const zips = readable.filter((name) => /\.(zip|jar)$/.test(name) && name !== 'nested.zip');
  const tars = readable.filter((name) => name.includes('.tar'));

  test.each(zips)('%s by zip.js', async (name) => {
    const reader = new ZipReader(new BlobReader(new Blob([Uint8Array.from(fixture(name))])));
    const entries = await reader.getEntries();
    await reader.close();
    const { entries: count, uncompressedBytes } = (await inspect(fixture(name), {
      mode: 'lenient',
    })) as ArchiveAccepted;
    expect(count).toBe(entries.length);
    expect(uncompressedBytes).toBe(entries.reduce((sum, entry) => sum + entry.uncompressedSize, 0));
  });

  test.each(zips.filter((name) => !/prefix|split|bsdtar-streamed/.test(name)))(
    '%s by yauzl',
    async (name) => {
      const zip = await fromBufferPromise(fixture(name), {
        strictFileNames: false,
        validateEntrySizes: false,
      });
      let count = 0;
      for await (const entry of zip.eachEntry()) count += Number(entry.fileName !== '');
      expect(((await inspect(fixture(name), { mode: 'lenient' })) as ArchiveAccepted).entries).toBe(count);
    },
  );

  test.each(tars)('%s by tar-stream', async (name) => {
    const bytes = name.endsWith('.gz') ? gunzipSync(fixture(name)) : fixture(name);
    const sizes: number[] = [];
    // Its types don't know the option.
    const reader = extract({ allowUnknownFormat: true } as never);
    for await (const entry of Readable.from([bytes]).pipe(reader)) {
      sizes.push(entry.header.size ?? 0);
      entry.resume();
    }
    const outcome = (await inspect(bytes, { mode: 'lenient' })) as ArchiveAccepted;
    expect(outcome.entries).toBe(sizes.length);
    expect(outcome.uncompressedBytes).toBe(sizes.reduce((sum, size) => sum + size, 0));
  });
});

describe('accepted in strict mode:', () => {
  const streamed = { flags: 8 };
  const unknown = { crc: 0, compressedSize: 0, size: 0 };
  const content = { name: 'a.txt', data: 'content' };
  const descriptors: [string, (fields: ZipFields) => Buffer][] = [
    ['with a signature', descriptor],
    ['without one', (fields) => descriptor(fields).subarray(4)],
    [
      'of 64 bits',
      ({ crc, compressedSize, size }) =>
        Buffer.concat([Buffer.from('PK\x07\x08'), le([crc, 4], [compressedSize, 8], [size, 8])]),
    ],
  ];
  test.each(descriptors)('sizes that follow the data, %s', async (_, after) => {
    const entry = { ...content, both: streamed, local: unknown, after };
    expect(await codeOf(writeZip([entry, { ...entry, name: 'b' }]))).toBe('ok');
  });
  test('a streamed entry that is stored', async () => {
    const entry = { ...content, method: 0, both: streamed, local: unknown, after: descriptor };
    expect(await codeOf(writeZip([entry]))).toBe('ok');
  });
  test('no entries', async () => {
    expect(await inspect(writeZip([]))).toEqual({
      ok: true,
      format: 'zip',
      entries: 0,
      uncompressedBytes: 0,
    });
    expect(await inspect(Buffer.alloc(10_240))).toEqual({
      ok: true,
      format: 'tar',
      entries: 0,
      uncompressedBytes: 0,
    });
    expect(await codeOf(gzipSync(Buffer.alloc(10_240)))).toBe('ok');
  });
  test('zip64 end records', async () => {
    expect(await codeOf(writeZip([content], { zip64: {} }))).toBe('ok');
    expect(
      await codeOf(
        writeZip([content], {
          zip64: {},
          end: {
            entries: 0xffff,
            entriesHere: 0xffff,
            directorySize: 0xffffffff,
            directoryOffset: 0xffffffff,
          },
        }),
      ),
    ).toBe('ok');
  });
  test('zip64 sizes, needed and not needed', async () => {
    const sizes = extraField(1, le([7, 8], [9, 8]));
    const full = { size: 0xffffffff, compressedSize: 0xffffffff, extra: sizes };
    expect(await codeOf(writeZip([{ ...content, both: full }]))).toBe('ok');
    expect(await codeOf(writeZip([{ ...content, both: { extra: sizes } }]))).toBe('ok');
  });
  test('an offset in a zip64 field', async () => {
    const extra = extraField(1, le([0, 8]));
    expect(await codeOf(writeZip([{ ...content, central: { offset: 0xffffffff, extra } }]))).toBe('ok');
  });
  test('a comment, and padding in extra fields', async () => {
    const padded = { ...content, local: { extra: Buffer.alloc(3) } };
    expect(await codeOf(writeZip([padded], { comment: Buffer.from('comment') }))).toBe('ok');
  });
  test('a directory in another order than the entries', async () => {
    const [a, b] = [content, { name: 'b', data: 'content' }];
    const size = writeZip([a]).length - writeZip([]).length - 46 - 5;
    const swapped = writeZip([
      { ...a, central: { name: 'b', offset: size }, local: { name: 'a.txt' } },
      { ...b, central: { name: 'a.txt', offset: 0 } },
    ]);
    expect(await codeOf(swapped)).toBe('ok');
  });
  test('the signing block of an Android package', async () => {
    const block = Buffer.concat([Buffer.alloc(40, 7), Buffer.from('APK Sig Block 42')]);
    expect(await codeOf(writeZip([content], { gap: block }))).toBe('ok');
  });
  test('the mark of a split zip that came out in one piece', async () => {
    const marked = writeZip([content], { prefix: Buffer.from('PK00'), prefixCounted: true });
    expect(await codeOf(marked)).toBe('ok');
  });
  test('Maven’s folders of mode -1', async () => {
    expect(await codeOf(writeZip([{ name: 'META-INF/', both: { attributes: 0xffff0010 } }]))).toBe('ok');
  });
  test('a folder that is named twice', async () => {
    expect(await codeOf(writeZip([{ name: 'a/' }, { name: 'a/b' }, { name: 'a/' }]))).toBe('ok');
  });
  test('dots that lead nowhere', async () => {
    expect(await codeOf(writeZip([{ name: 'a..b/..c' }, { name: 'd..' }, { name: './e' }]))).toBe('ok');
  });
  test('small files of repeated text, smaller than a hundredth', async () => {
    expect(await codeOf(writeZip([{ name: 'log', data: Buffer.alloc(10 * 1024 * 1024, 'a') }]))).toBe('ok');
  });
  test('a nested archive, a compressed file, and a tar in each other', async () => {
    const inner = writeTar([{ name: 'a', data: 'content' }]);
    expect(
      await inspect(
        writeZip([
          { name: 'a.tar', data: inner },
          { name: 'log.gz', data: gzipSync('log') },
        ]),
      ),
    ).toMatchObject({
      ok: true,
      entries: 3,
    });
    expect(
      await inspect(gzipSync(writeTar([{ name: 'a.zip', data: writeZip([content, { name: 'b' }]) }]))),
    ).toMatchObject({
      ok: true,
      format: 'tar.gz',
      entries: 3,
    });
  });
  test('a nested archive that is too large for memory, through a file', async () => {
    const stored = { name: 'large', data: Buffer.alloc(6 * 1024 * 1024, 'content'), method: 0 };
    const outer = writeZip([
      { name: 'a.zip', data: writeZip([stored, { ...stored, name: 'b' }]), method: 0 },
    ]);
    expect(await inspect(outer)).toMatchObject({
      ok: true,
      entries: 3,
      uncompressedBytes: expect.any(Number) as number,
    });
  });
  test('a tar of the oldest kind, and one whose size is in binary', async () => {
    expect(await codeOf(writeTar([{ name: 'a', data: 'content', magic: '' }]))).toBe('ok');
    const size = Buffer.from([0x80, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 7]);
    expect(await codeOf(writeTar([{ name: 'a', data: 'content', size }]))).toBe('ok');
  });
  test('extended headers: for one entry, for all, and a size in them that agrees', async () => {
    const entries = [
      pax({ comment: 'commit' }, 'g'),
      pax({ path: 'grüße', size: '7' }),
      { name: 'a', data: 'content' },
    ];
    expect(await codeOf(writeTar(entries))).toBe('ok');
  });
  test('gzip members and zeros after them', async () => {
    const bytes = Buffer.concat([
      gzipSync(writeEntries([{ name: 'a' }])),
      gzipSync(tarEnd),
      Buffer.alloc(512),
    ]);
    expect(await codeOf(bytes)).toBe('ok');
  });
});

describe('accepted in lenient mode only:', () => {
  const ok = async (bytes: Buffer): Promise<void> => {
    expect(await codeOf(bytes, { mode: 'lenient' })).toBe('ok');
    expect(await codeOf(bytes)).not.toBe('ok');
  };
  test('a number of entries that wrapped around', async () => {
    const entries = Array.from({ length: 65_537 }, (_, index) => ({ name: `${index}`, method: 0 }));
    expect(await codeOf(writeZip(entries), { mode: 'lenient', maxEntries: 70_000 })).toBe('ok');
    expect(await codeOf(writeZip(entries), { maxEntries: 70_000 })).toBe('ARCHIVE_COUNT_MISMATCH');
  });
  test('a signature of the directory', () => {
    return ok(
      writeZip([{ name: 'a' }], {
        afterDirectory: Buffer.from('PK\x05\x05\x02\0ab', 'latin1'),
        end: { directorySize: 46 + 1 + 8 },
      }),
    );
  });
  test('sizes in both places and no descriptor though one is announced', () =>
    ok(writeZip([{ name: 'a', data: 'content', both: { flags: 8 } }])));
  test('a hard link to a file that came before', () =>
    ok(
      writeTar([
        { name: 'a', data: 'content' },
        { name: 'b', type: '1', linkName: 'a' },
      ]),
    ));
});
