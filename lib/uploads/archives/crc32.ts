import * as zlib from 'node:zlib';

type Crc32 = (bytes: Uint8Array, before?: number) => number;

const table = new Uint32Array(256).map((_, index) => {
  let value = index;
  for (let bit = 0; bit < 8; bit += 1) value = value & 1 ? (value >>> 1) ^ 0xedb88320 : value >>> 1;
  return value;
});

/** In JavaScript, for a Node that has none of its own. */
export const tableCrc32: Crc32 = (bytes, before = 0) => {
  let value = ~before;
  for (const byte of bytes) value = (table[(value ^ byte) & 255] as number) ^ (value >>> 8);
  return ~value >>> 0;
};

/** The CRC-32 of zip and gzip, going on from `before`. Node has its own, twenty times faster, from 20.15 on. */
export const crc32: Crc32 = (zlib as { crc32?: Crc32 }).crc32 ?? tableCrc32;
