import type { IncomingMessage } from 'node:http';
import fc from 'fast-check';
import { idempotencyKeyOf } from '../../lib/http/idempotency-key.js';

const read = (header: string | undefined) =>
  idempotencyKeyOf({ headers: { 'idempotency-key': header } } as unknown as IncomingMessage);

it.each([
  ['a string', '"8e03978e-40d5-43dd-bc93-6894a57f9324"', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
  ['a string with a comma, a semicolon and spaces', '"a, b; c "', 'a, b; c '],
  ['a string with what has to be escaped', String.raw`"a\"b\\c"`, String.raw`a"b\c`],
  ['parameters after a string', '"a";b;c=1;d="e"', 'a'],
  ['no quotes', '8e03978e-40d5-43dd-bc93-6894a57f9324', '8e03978e-40d5-43dd-bc93-6894a57f9324'],
  ['Base64 without quotes', 'aGVsbG8+d29y/bGQ=', 'aGVsbG8+d29y/bGQ='],
  ["a colon, and quotes that don't count", "it's:7", "it's:7"],
  ['the longest string', `"${'k'.repeat(255)}"`, 'k'.repeat(255)],
  ['the longest one whose characters are all escaped', `"${'\\"'.repeat(255)}"`, '"'.repeat(255)],
  ['the longest one without quotes', 'k'.repeat(255), 'k'.repeat(255)],
])('takes %s', (_name, header, key) => {
  expect(read(header)).toBe(key);
});

it('knows that there is none', () => {
  expect(read(undefined)).toBeUndefined();
});

it.each([
  ['nothing', ''],
  ['an empty string', '""'],
  ['a string without an end', '"abc'],
  ['a string that only ends', 'abc"'],
  ['a quote inside', '"a"b"'],
  ['something after the string', '"a"b'],
  ['an escape of what needs none', String.raw`"a\b"`],
  ['a lone backslash', String.raw`a\b`],
  ['a space without quotes', 'a b'],
  ['a parameter without quotes', 'a;b=1'],
  ['two keys', '"a", "b"'],
  ['two keys without quotes', 'a, b'],
  ['two keys without quotes or space', 'a,b'],
  ['a key and nothing', '"a", '],
  ['two keys, of which one has a parameter', '"a";b, "c"'],
  ['a byte sequence', ':YWJj:=,'],
  ['too long a string', `"${'k'.repeat(256)}"`],
  ['too long a key without quotes', 'k'.repeat(256)],
  ['letters that are no ASCII', '"schlüssel"'],
  ['the same without quotes', 'schlüssel'],
  ['UTF-8 as Node reads it', Buffer.from('"ключ"').toString('latin1')],
  ['a tab', '"a\tb"'],
  ['a DEL', '"a\x7f"'],
])('refuses %s', (_name, header) => {
  expect(read(header)).toMatchObject({ allowed: false, status: 400, code: 'IDEMPOTENCY_KEY_INVALID' });
});

const printable = fc.string({
  unit: fc.integer({ min: 0x20, max: 0x7e }).map((code) => String.fromCharCode(code)),
});

it('takes every string of printable ASCII, escaped as it has to be', () => {
  fc.assert(
    fc.property(printable, (key) => {
      fc.pre(key !== '');
      expect(read(`"${key.replace(/["\\]/g, '\\$&')}"`)).toBe(key);
    }),
  );
});

it('takes any header as a key or refuses it, in a moment', () => {
  const pieces = fc.constantFrom('"', '\\', ';', ',', ' ', 'a', '\\"', '\\\\', 'é');
  fc.assert(
    fc.property(fc.array(pieces, { maxLength: 16_000 }), (header) => {
      const key = read(header.join(''));
      if (typeof key === 'string') expect(key).toMatch(/^[ -~]{1,255}$/);
      else expect(key).toMatchObject({ code: 'IDEMPOTENCY_KEY_INVALID' });
    }),
    { numRuns: 200, seed: 7 },
  );
});
