import { once } from 'node:events';
import busboy from 'busboy';
import fc from 'fast-check';
import { searchFaster } from '../../lib/uploads/boundary-search.js';

const boundary = 'xX-b';
const headers = { 'content-type': `multipart/form-data; boundary=${boundary}` };

/** All that a form turns out to hold, with how it ends. */
async function read(chunks: Buffer[], prepare: (parser: busboy.Busboy) => void): Promise<unknown[]> {
  const parser = busboy({ headers });
  prepare(parser);
  const seen: unknown[] = [];
  parser.on('field', (name, value) => seen.push([name, value]));
  parser.on('file', (name, stream, { filename }) => {
    const content: Buffer[] = [];
    stream.on('data', (data: Buffer) => content.push(data));
    stream.on('end', () => seen.push([name, filename, Buffer.concat(content).toString('latin1')]));
    stream.on('error', (error) => seen.push([name, error.message]));
  });
  parser.on('error', (error) => seen.push((error as Error).message));
  const closed = once(parser, 'close').catch(() => {});
  for (const chunk of chunks) parser.write(chunk);
  parser.end();
  await closed;
  return seen;
}

/** What a boundary is made of, and what is nearly one. */
const bits = ['\r', '\n', '\r\n', '-', '--', '\r\n--', 'x', 'xX-', boundary, `\r\n--${boundary}`, 'content'];
const text = fc.array(fc.constantFrom(...bits), { maxLength: 12 }).map((some) => some.join(''));
const head = fc.constantFrom(
  'Content-Disposition: form-data; name="a"',
  'Content-Disposition: form-data; name="f"; filename="f.txt"\r\nContent-Type: text/plain',
  'Content-Disposition: attachment',
  'no header',
);
const part = fc
  .tuple(head, text)
  .map(([header, content]) => `--${boundary}\r\n${header}\r\n\r\n${content}\r\n`);
const end = fc.constantFrom(`--${boundary}--\r\n`, `--${boundary}--`, `--${boundary}-`, `--${boundary}`, '');
const form = fc
  .tuple(fc.constantFrom('', 'preamble\r\n', '\r\n'), fc.array(part, { maxLength: 4 }), end)
  .map(([before, parts, after]) => Buffer.from(before + parts.join('') + after));

const same = async (chunks: Buffer[]): Promise<void> =>
  expect(await read(chunks, searchFaster)).toEqual(await read(chunks, () => {}));

test('finds the same as busboy does by itself, wherever a form is cut into pieces', async () => {
  await fc.assert(
    fc.asyncProperty(form, fc.array(fc.nat(400), { maxLength: 8 }), async (bytes, cuts) => {
      const places = [0, ...cuts.toSorted((a, b) => a - b), bytes.length];
      await same(places.slice(1).map((to, index) => bytes.subarray(places[index], to)));
      await same(Array.from({ length: bytes.length }, (_, at) => bytes.subarray(at, at + 1)));
    }),
    { numRuns: 500 },
  );
});

test('is used with the busboy that is installed', () => {
  const parser = busboy({ headers });
  const search = (parser as unknown as { _bparser: object })._bparser;
  searchFaster(parser);
  expect((parser as unknown as { _bparser: object })._bparser).not.toBe(search);
  parser.on('error', () => {}).destroy();
});

test('leaves another busboy as it is', () => {
  const other = { _bparser: { push: () => 0, destroy: () => {} } };
  const before = { ...other };
  searchFaster(other as unknown as busboy.Busboy);
  expect(other).toEqual(before);
});
