// node got-upload.mjs URL SIZE length|chunked: uploads with got and prints the answer as JSON.
// got is an ES module, which the test runner can't load.
import { Buffer } from 'node:buffer';
import { Readable } from 'node:stream';
import got from 'got';

const [url, size, how] = process.argv.slice(2);
const piece = Buffer.alloc(64 * 1024, 'x');
let left = Number(size);
const body = new Readable({
  read() {
    const next = piece.subarray(0, Math.min(left, piece.length));
    left -= next.length;
    this.push(next.length > 0 ? next : null);
  },
});
const response = await got.post(url, {
  body,
  headers: {
    'content-type': 'application/octet-stream',
    ...(how === 'length' ? { 'content-length': size } : {}),
  },
  throwHttpErrors: false,
  retry: { limit: 0 },
});
process.stdout.write(JSON.stringify({ status: response.statusCode, body: response.body }));
