'use strict';
// A process of its own that uploads: node sender.cjs, then messages { port, path, size, form, how, count, pace }.
const { Buffer } = require('node:buffer');
const http = require('node:http');

const PIECE = Buffer.alloc(256 * 1024, 'x');
const agent = new http.Agent({ keepAlive: true });

/** Uploads `size` bytes, as one file of a form where `form` says so. Answers { status, sent }. */
function upload({ port, path, size, form, how = 'length' }) {
  const boundary = 'a-boundary-of-the-bench';
  const head = form
    ? Buffer.from(
        `--${boundary}\r\nContent-Disposition: form-data; name="f"; filename="f.bin"\r\nContent-Type: video/mp4\r\n\r\n`,
      )
    : Buffer.alloc(0);
  const tail = form ? Buffer.from(`\r\n--${boundary}--\r\n`) : Buffer.alloc(0);
  const headers = {
    'content-type': form ? `multipart/form-data; boundary=${boundary}` : 'application/octet-stream',
  };
  if (how === 'length') headers['content-length'] = head.length + size + tail.length;
  return new Promise((resolve) => {
    let sent = 0;
    const req = http.request({ port, host: '127.0.0.1', path, method: 'POST', headers, agent }, (res) => {
      let body = '';
      res.on('data', (chunk) => (body += chunk));
      const done = () => {
        resolve({ status: res.statusCode, sent, body });
        if (left > 0) req.destroy();
      };
      res.on('end', done).on('error', done);
    });
    req.on('error', (error) => resolve({ status: 0, sent, body: String(error) }));
    let left = size;
    req.write(head);
    const write = () => {
      while (left > 0 && !req.destroyed) {
        const piece = left >= PIECE.length ? PIECE : PIECE.subarray(0, left);
        left -= piece.length;
        sent += piece.length;
        if (!req.write(piece)) {
          req.once('drain', write);
          return;
        }
      }
      req.end(tail);
    };
    write();
  });
}

process.on('message', async ({ count = 1, ...job }) => {
  const answers = await Promise.all(Array.from({ length: count }, () => upload(job)));
  process.send(answers);
});
