import { crc32, deflateRawSync } from 'node:zlib';

/** A header's fields; what an entry leaves out is what an honest program would write. */
export interface ZipFields {
  name: string | Buffer;
  madeBy: number;
  flags: number;
  method: number;
  time: number;
  crc: number;
  compressedSize: number;
  size: number;
  extra: Buffer;
  comment: Buffer;
  disk: number;
  attributes: number;
  offset: number;
}

export interface ZipEntrySpec {
  name: string | Buffer;
  data?: Buffer | string;
  /** 0 stored, 8 deflated; others take `data` as it is. @default 8 */
  method?: number;
  /** Compressed bytes to write instead of those of `data`. */
  raw?: Buffer;
  /** Fields of both headers. */
  both?: Partial<ZipFields>;
  /** Fields in which the local header lies. */
  local?: Partial<ZipFields>;
  /** Fields in which the directory lies. */
  central?: Partial<ZipFields>;
  /** Bytes after the data, such as a data descriptor. */
  after?: Buffer | ((fields: ZipFields) => Buffer);
  /** Written, but not in the directory. */
  unlisted?: boolean;
  /** In the directory, but not written again. */
  unwritten?: boolean;
}

export interface ZipSpec {
  prefix?: Buffer;
  /** Whether the offsets count the prefix. @default false */
  prefixCounted?: boolean;
  /** Between the last entry and the directory. */
  gap?: Buffer;
  /** Between the directory and its end records. */
  afterDirectory?: Buffer;
  comment?: Buffer;
  trailing?: Buffer;
  /** Fields in which the end record lies. */
  end?: Partial<EndFields>;
  /** Writes zip64 end records; fields in which they lie. */
  zip64?: Partial<EndFields> & { recordAt?: number; disks?: number };
}

export interface EndFields {
  disk: number;
  directoryDisk: number;
  entriesHere: number;
  entries: number;
  directorySize: number;
  directoryOffset: number;
  commentLength: number;
}

/** Little-endian bytes: pairs of a value and how many bytes it takes. */
export function le(...values: [value: number, bytes: 2 | 4 | 8][]): Buffer {
  return Buffer.concat(
    values.map(([value, bytes]) => {
      const buffer = Buffer.alloc(bytes);
      if (bytes === 2) buffer.writeUInt16LE(value);
      else if (bytes === 4) buffer.writeUInt32LE(value);
      else buffer.writeBigUInt64LE(BigInt(value));
      return buffer;
    }),
  );
}

export const extraField = (id: number, data: Buffer): Buffer =>
  Buffer.concat([le([id, 2], [data.length, 2]), data]);

/** A data descriptor as streaming programs write it. */
export const descriptor = ({ crc, compressedSize, size }: ZipFields): Buffer =>
  Buffer.concat([Buffer.from('PK\x07\x08'), le([crc, 4], [compressedSize, 4], [size, 4])]);

/** The bytes of an entry's local header. */
export function localHeader(fields: ZipFields): Buffer {
  const name = Buffer.from(fields.name);
  const { flags, method, time, crc, compressedSize, size, extra } = fields;
  return Buffer.concat([
    Buffer.from('PK\x03\x04'),
    le([20, 2], [flags, 2], [method, 2], [time, 4], [crc, 4], [compressedSize, 4], [size, 4]),
    le([name.length, 2], [extra.length, 2]),
    name,
    extra,
  ]);
}

function centralHeader(fields: ZipFields): Buffer {
  const name = Buffer.from(fields.name);
  const { madeBy, flags, method, time, crc, compressedSize, size, extra, comment } = fields;
  return Buffer.concat([
    Buffer.from('PK\x01\x02'),
    le([madeBy, 2], [20, 2], [flags, 2], [method, 2], [time, 4], [crc, 4], [compressedSize, 4], [size, 4]),
    le([name.length, 2], [extra.length, 2], [comment.length, 2], [fields.disk, 2], [0, 2]),
    le([fields.attributes, 4], [fields.offset, 4]),
    name,
    extra,
    comment,
  ]);
}

/** An honest entry's fields and compressed bytes. */
export function zipFields(
  { name, data = '', method = 8, raw }: ZipEntrySpec,
  offset: number,
): [ZipFields, Buffer] {
  const content = Buffer.from(data as Buffer);
  const packed = raw ?? (method === 8 ? deflateRawSync(content) : content);
  const fields: ZipFields = {
    name,
    madeBy: (3 << 8) | 30,
    flags: 0,
    method,
    time: 0x5a216000,
    crc: crc32(content),
    compressedSize: packed.length,
    size: content.length,
    extra: Buffer.alloc(0),
    comment: Buffer.alloc(0),
    disk: 0,
    attributes: 0o100644 * 0x1_0000,
    offset,
  };
  return [fields, packed];
}

/** A zip as told: honest where nothing is told. */
export function writeZip(entries: ZipEntrySpec[], spec: ZipSpec = {}): Buffer {
  const prefix = spec.prefix ?? Buffer.alloc(0);
  const base = spec.prefixCounted ? 0 : prefix.length;
  const written: Buffer[] = [prefix];
  const directory: Buffer[] = [];
  let at = prefix.length;
  let listed = 0;
  const write = (bytes: Buffer): void => {
    written.push(bytes);
    at += bytes.length;
  };
  for (const entry of entries) {
    const [honest, packed] = zipFields(entry, at - base);
    const fields = { ...honest, ...entry.both };
    if (!entry.unlisted) {
      directory.push(centralHeader({ ...fields, ...entry.central }));
      listed += 1;
    }
    if (entry.unwritten) continue;
    write(localHeader({ ...fields, ...entry.local }));
    write(packed);
    if (entry.after !== undefined)
      write(typeof entry.after === 'function' ? entry.after(fields) : entry.after);
  }
  write(spec.gap ?? Buffer.alloc(0));
  const directoryOffset = at - base;
  for (const header of directory) write(header);
  const directorySize = at - base - directoryOffset;
  write(spec.afterDirectory ?? Buffer.alloc(0));
  const comment = spec.comment ?? Buffer.alloc(0);
  const honest: EndFields = {
    disk: 0,
    directoryDisk: 0,
    entriesHere: listed,
    entries: listed,
    directorySize,
    directoryOffset,
    commentLength: comment.length,
  };
  if (spec.zip64 !== undefined) write(endRecords64({ ...honest, ...spec.zip64 }, at - base, spec.zip64));
  write(endRecord({ ...honest, ...spec.end }));
  return Buffer.concat([...written, comment, spec.trailing ?? Buffer.alloc(0)]);
}

function endRecords64(
  fields: EndFields,
  at: number,
  { recordAt = at, disks = 1 }: ZipSpec['zip64'] & object,
): Buffer {
  return Buffer.concat([
    Buffer.from('PK\x06\x06'),
    le([44, 8], [45, 2], [45, 2], [fields.disk, 4], [fields.directoryDisk, 4], [fields.entriesHere, 8]),
    le([fields.entries, 8], [fields.directorySize, 8], [fields.directoryOffset, 8]),
    Buffer.from('PK\x06\x07'),
    le([fields.disk, 4], [recordAt, 8], [disks, 4]),
  ]);
}

export function endRecord(fields: EndFields): Buffer {
  return Buffer.concat([
    Buffer.from('PK\x05\x06'),
    le(
      [fields.disk, 2],
      [fields.directoryDisk, 2],
      [fields.entriesHere & 0xffff, 2],
      [fields.entries & 0xffff, 2],
    ),
    le([fields.directorySize, 4], [fields.directoryOffset, 4], [fields.commentLength, 2]),
  ]);
}

/**
 * Files that share one kernel of compressed zeros, each quoting the header of the next in a stored block (David Fifield,
 * "A better zip bomb", 2019): `files` times the kernel's content for a few bytes more than the kernel.
 */
export function writeOverlapping(files: number, kernelBytes: number): Buffer {
  const specs: ZipEntrySpec[] = [];
  let data = Buffer.alloc(kernelBytes);
  let raw = deflateRawSync(data);
  for (let index = files - 1; index >= 0; index -= 1) {
    specs.unshift({ name: `${index}`, data, raw });
    const [fields] = zipFields({ name: `${index}`, data, raw }, 0);
    const header = localHeader(fields);
    data = Buffer.concat([header, data]);
    raw = Buffer.concat([
      Buffer.from([0]),
      le([header.length, 2], [~header.length & 0xffff, 2]),
      header,
      raw,
    ]);
  }
  // Only the first is written: it has all others within.
  let offset = 0;
  return writeZip(
    specs.map((spec, index) => {
      const central = { offset };
      offset += localHeader(zipFields(spec, 0)[0]).length + 5;
      return { ...spec, central, unwritten: index > 0 };
    }),
  );
}
