import { ManualClock, MemoryStore, jobLimits } from '../../lib/index.js';
import { fileSize } from '../../lib/middleware/file-size.js';
import { urlCount } from '../../lib/middleware/url-count.js';
import { readFormPrefix } from '../../lib/uploads/form-prefix.js';
import { expressVersions, jsonErrors } from '../support/apps.js';
import { formBody, type Part } from '../support/forms.js';
import { listen, rawSocket, until, type Listening } from '../support/http.js';

// A slow machine is no failure.
jest.setTimeout(30_000);

const multipart = 'multipart/form-data; boundary=b';
const form = (size: number, urls = 1): Uint8Array<ArrayBuffer> =>
  new Uint8Array(
    formBody('b', [
      { name: 'key', value: 'acme' },
      ...Array.from({ length: urls }, (_, index): Part => ({
        name: 'urls',
        value: `https://example.com/${index}`,
      })),
      { name: 'file', value: Buffer.alloc(size), filename: 'a.mp4' },
    ]),
  );

describe.each(expressVersions)('%s: a customer who is named in the form', (_name, express) => {
  const store = new MemoryStore({ clock: new ManualClock() });
  const limits = jobLimits({
    store,
    customer: async (req) => (await readFormPrefix(req))['key'],
    plans: { free: { concurrency: { limit: 1 } } },
    plan: () => 'free',
  });
  let listening: Listening;

  beforeAll(async () => {
    const app = express();
    app.post(
      '/jobs',
      limits.admission(),
      fileSize({ maxFile: 100_000 }),
      urlCount({ limit: 2 }),
      (req, res) => {
        res.status(201).json(limits.job(req).ref);
      },
    );
    listening = await listen(jsonErrors(app));
  });
  afterEach(() => limits.reset());
  afterAll(async () => {
    await limits.close();
    await listening.close();
  });

  const send = async (body: Uint8Array<ArrayBuffer>): Promise<string> => {
    const headers = { 'content-type': multipart };
    const response = await fetch(`${listening.url}/jobs`, { method: 'POST', headers, body });
    const { error = 'admitted' } = (await response.json()) as { error?: string };
    return error;
  };
  /** Waits until so many of the customer's jobs hold a slot. */
  const running = async (expected: number): Promise<void> => {
    let used: number | undefined;
    const look = (): boolean => {
      void limits.usageOf('acme').then(({ limits }) => {
        used = limits.find(({ name }) => name === 'concurrency')?.used;
      });
      return used === expected;
    };
    await until(look, `${expected} running jobs`);
  };

  test('is admitted before the files are read, and refunded when they are refused', async () => {
    for (let turn = 0; turn < 3; turn += 1) {
      expect(await send(form(100_001))).toBe('FILE_TOO_LARGE');
      expect(await send(form(1, 3))).toBe('TOO_MANY_URLS');
    }
    expect(await send(form(1))).toBe('admitted');
    expect(await send(form(1))).toBe('RATE_LIMIT_REACHED');
  });

  test('is refunded when it goes away in the middle of its upload', async () => {
    const socket = await rawSocket(listening.port);
    const body = form(50_000);
    socket.write(
      `POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: ${multipart}\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    socket.write(body.subarray(0, 20_000));
    await running(1);
    socket.destroy();
    await running(0);
  });

  test('at its limit it is told so while its files have not come', async () => {
    expect(await send(form(1))).toBe('admitted');
    const socket = await rawSocket(listening.port);
    const body = form(50_000);
    socket.write(
      `POST /jobs HTTP/1.1\r\nHost: x\r\nContent-Type: ${multipart}\r\nContent-Length: ${body.length}\r\n\r\n`,
    );
    socket.write(body.subarray(0, 1_000));
    await until(() => socket.received().includes('RATE_LIMIT_REACHED'), 'the refusal');
    socket.destroy();
    await running(1);
  });
});
