import { crc32, tableCrc32 } from '../../../lib/uploads/archives/crc32.js';

test('both ways give the check value of CRC-32, and go on from a part', () => {
  const digits = Buffer.from('123456789');
  for (const sum of [crc32, tableCrc32]) {
    // The check value in the catalogue of CRC algorithms (CRC-32/ISO-HDLC).
    expect(sum(digits)).toBe(0xcbf43926);
    expect(sum(digits.subarray(4), sum(digits.subarray(0, 4)))).toBe(0xcbf43926);
  }
});
