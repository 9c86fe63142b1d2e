import { spawn } from 'node:child_process';
import { once } from 'node:events';
import { request } from 'node:http';
import { join } from 'node:path';
import { Readable } from 'node:stream';
import axios from 'axios';
import { chromium, type Browser } from 'playwright-core';
import { fetch as undiciFetch, request as undiciRequest } from 'undici';

/** What a client made of the answer. */
export interface Received {
  status: number;
  body: string;
}

/** Uploads `size` bytes, with a Content-Length or chunked, and reads the answer. */
export type UploadClient = (url: string, size: number, how: 'length' | 'chunked') => Promise<Received>;

const PIECE = Buffer.alloc(64 * 1024, 'x');

/** Bytes as they are made, without holding them all. */
export function bytesOf(size: number): Readable {
  let left = size;
  return new Readable({
    read() {
      const piece = left >= PIECE.length ? PIECE : PIECE.subarray(0, left);
      left -= piece.length;
      this.push(piece.length > 0 ? piece : null);
    },
  });
}

const type = 'application/octet-stream';
const headersFor = (size: number, how: string): Record<string, string> => ({
  'content-type': type,
  ...(how === 'length' ? { 'content-length': String(size) } : {}),
});

const viaFetch: UploadClient = async (url, size, how) => {
  // fetch itself takes no Content-Length for a stream, so that a body with a length is a buffer.
  const body = how === 'length' ? Buffer.alloc(size, 'x') : (Readable.toWeb(bytesOf(size)) as ReadableStream);
  const init = { method: 'POST', body, headers: { 'content-type': type }, duplex: 'half' };
  const response = await fetch(url, init as RequestInit);
  return { status: response.status, body: await response.text() };
};

const viaUndici: UploadClient = async (url, size, how) => {
  const { statusCode, body } = await undiciRequest(url, {
    method: 'POST',
    body: bytesOf(size),
    headers: headersFor(size, how),
  });
  return { status: statusCode, body: await body.text() };
};

const viaUndiciFetch: UploadClient = async (url, size, how) => {
  const body = how === 'length' ? Buffer.alloc(size, 'x') : (Readable.toWeb(bytesOf(size)) as never);
  const response = await undiciFetch(url, {
    method: 'POST',
    body,
    headers: { 'content-type': type },
    duplex: 'half',
  });
  return { status: response.status, body: await response.text() };
};

const viaGot: UploadClient = async (url, size, how) =>
  JSON.parse(
    await outputOf(process.execPath, [join(__dirname, 'got-upload.mjs'), url, String(size), how]),
  ) as Received;

const viaAxios: UploadClient = async (url, size, how) => {
  const response = await axios.post<string>(url, bytesOf(size), {
    headers: headersFor(size, how),
    maxBodyLength: Infinity,
    maxRedirects: 0,
    responseType: 'text',
    transformResponse: (text: string) => text,
    validateStatus: () => true,
  });
  return { status: response.status, body: response.data };
};

const viaHttp: UploadClient = async (url, size, how) => {
  const sending = request(url, { method: 'POST', agent: false, headers: headersFor(size, how) });
  const answered = once(sending, 'response') as Promise<[NodeJS.ReadableStream & { statusCode: number }]>;
  bytesOf(size).pipe(sending);
  const [response] = await answered;
  let body = '';
  for await (const chunk of response) body += String(chunk);
  return { status: response.statusCode, body };
};

/** What a program prints. It fails with what the program complains about. */
async function outputOf(program: string, args: string[], input?: Readable): Promise<string> {
  const child = spawn(program, args, { stdio: 'pipe' });
  child.stdin.on('error', () => {});
  if (input === undefined) child.stdin.end();
  else input.pipe(child.stdin);
  let output = '';
  let errors = '';
  child.stdout.on('data', (chunk: Buffer) => (output += String(chunk)));
  child.stderr.on('data', (chunk: Buffer) => (errors += String(chunk)));
  const [code] = (await once(child, 'close')) as [number];
  if (code !== 0) throw new Error(`${program} ended with ${code}: ${errors}`);
  return output;
}

/** The clients of Node. */
export const nodeClients: [string, UploadClient][] = [
  ['fetch', viaFetch],
  ['undici request', viaUndici],
  ['undici fetch', viaUndiciFetch],
  ['got', viaGot],
  ['axios', viaAxios],
  ['node http', viaHttp],
];

/** curl, without `Expect` unless it is asked for. `uploaded` is what curl itself says it sent of the body. */
export const viaCurl =
  (
    program: string,
    expect = false,
  ): ((...args: Parameters<UploadClient>) => Promise<Received & { uploaded: number }>) =>
  async (url, size, how) => {
    const output = await outputOf(
      program,
      [
        ...['-sS', '-X', 'POST', '-H', `content-type: ${type}`, '-w', '\n%{http_code} %{size_upload}'],
        ...['-H', expect ? 'expect: 100-continue' : 'expect:'],
        ...(how === 'chunked' ? ['-T', '-'] : ['--data-binary', '@-']),
        url,
      ],
      bytesOf(size),
    );
    const at = output.lastIndexOf('\n');
    const [status = 0, uploaded = 0] = output
      .slice(at + 1)
      .split(' ')
      .map(Number);
    return { status, body: output.slice(0, at), uploaded };
  };

/** A page's own fetch. Over HTTP/1 a browser always sends a Content-Length. The page must be of the server itself. */
export const viaChromium =
  (browser: Browser): UploadClient =>
  async (url, size) => {
    const page = await browser.newPage();
    try {
      await page.goto(url);
      const script = `(async () => {
        const response = await fetch(${JSON.stringify(url)}, {
          method: 'POST', body: new Blob([new Uint8Array(${size})]), headers: { 'content-type': '${type}' },
        });
        return { status: response.status, body: await response.text() };
      })()`;
      return await page.evaluate(script);
    } finally {
      await page.close();
    }
  };

/** Starts Debian's Chromium. */
export async function startChromium(executablePath: string): Promise<Browser> {
  return chromium.launch({
    executablePath,
    args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage'],
  });
}
