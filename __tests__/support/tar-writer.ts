/** A tar entry; what is left out is what an honest program would write. */
export interface TarEntrySpec {
  name: string | Buffer;
  data?: Buffer | string;
  /** The type's character. @default '0' */
  type?: string;
  linkName?: string;
  /** The size field as it stands there: a number in octal, or bytes. @default the data's */
  size?: number | Buffer;
  /** The prefix field of ustar. */
  prefix?: string;
  /** What stands where `ustar\0` and `00` do. */
  magic?: string;
  /** A wrong checksum. */
  checksum?: number;
}

const BLOCK = 512;

const padded = (data: Buffer): Buffer =>
  Buffer.concat([data, Buffer.alloc((BLOCK - (data.length % BLOCK)) % BLOCK)]);

const octal = (value: number, digits: number): string => value.toString(8).padStart(digits, '0');

/** One header block. */
export function tarHeader(entry: TarEntrySpec): Buffer {
  const { name, data = '', type = '0', linkName = '', size = Buffer.from(data as Buffer).length } = entry;
  const block = Buffer.alloc(BLOCK);
  Buffer.from(name).copy(block, 0, 0, 100);
  block.write(['0000644', '0000000', '0000000', ''].join('\x00'), 100, 'latin1');
  if (typeof size === 'number') block.write(`${octal(size, 11)}\0`, 124, 'latin1');
  else size.copy(block, 124, 0, 12);
  block.write('14000000000\0', 136, 'latin1');
  block.write('        ', 148, 'latin1');
  block.write(type, 156, 'latin1');
  block.write(linkName, 157, 100);
  block.write(entry.magic ?? 'ustar\x0000', 257, 'latin1');
  block.write(entry.prefix ?? '', 345, 155);
  const sum = entry.checksum ?? block.reduce((total, byte) => total + byte, 0);
  block.write(`${octal(sum, 6)}\0 `, 148, 'latin1');
  return block;
}

/** A tar's entries without its end. */
export const writeEntries = (entries: TarEntrySpec[]): Buffer =>
  Buffer.concat(
    entries.flatMap((entry) => [tarHeader(entry), padded(Buffer.from((entry.data ?? '') as Buffer))]),
  );

export const tarEnd = Buffer.alloc(2 * BLOCK);

/** A tar with its end, and what comes after it. */
export const writeTar = (entries: TarEntrySpec[], after: Buffer = Buffer.alloc(0)): Buffer =>
  Buffer.concat([writeEntries(entries), tarEnd, after]);

/** The data of an extended header. */
export function paxData(records: Record<string, string> | [string, string][]): string {
  const pairs = Array.isArray(records) ? records : Object.entries(records);
  return pairs.map(([key, value]) => paxRecord(key, value)).join('');
}

function paxRecord(key: string, value: string): string {
  const rest = Buffer.byteLength(` ${key}=${value}\n`);
  let length = rest + 1;
  while (String(length).length + rest !== length) length += 1;
  return `${length} ${key}=${value}\n`;
}

/** An extended header for the entry after it. */
export const pax = (records: Record<string, string> | [string, string][], type = 'x'): TarEntrySpec => ({
  name: 'PaxHeaders/next',
  type,
  data: paxData(records),
});
