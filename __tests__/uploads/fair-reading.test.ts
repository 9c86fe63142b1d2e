import express from 'express';
import { fileSize } from '../../lib/middleware/file-size.js';
import { FairReader } from '../../lib/uploads/fair-reading.js';
import { listen, until, type Listening } from '../support/http.js';

// A slow machine is no failure.
jest.setTimeout(30_000);

const KiB = 1024;
const nextTurn = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

let listening: Listening | undefined;
afterEach(() => listening?.close());

describe('a share of a turn', () => {
  const made: FairReader[] = [];
  const resumed: number[] = [];
  const make = (count: number): FairReader[] =>
    Array.from({ length: count }, (_, index) => {
      const reader = new FairReader(() => resumed.push(index));
      made.push(reader);
      return reader;
    });
  beforeEach(() => (resumed.length = 0));
  afterEach(async () => {
    for (const reader of made.splice(0)) reader.leave();
    await nextTurn();
  });

  test('is 2 MiB for one alone, again in each turn', async () => {
    const [reader] = make(1);
    for (let turn = 1; turn <= 3; turn += 1) {
      expect(reader!.take(2_047 * KiB)).toBe(false);
      expect(reader!.take(KiB)).toBe(true);
      await nextTurn();
      expect(resumed).toHaveLength(turn);
    }
  });

  test('is divided, down to 64 KiB', async () => {
    const four = make(4);
    expect(four[0]!.take(511 * KiB)).toBe(false);
    expect(four[0]!.take(KiB)).toBe(true);
    const many = make(100);
    expect(many[7]!.take(64 * KiB - 1)).toBe(false);
    expect(many[9]!.take(64 * KiB)).toBe(true);
    await nextTurn();
    expect(resumed.sort()).toEqual([0, 9]);
  });

  test('of one that has left goes to the others, and it is not called any more', async () => {
    const [first, second] = make(2);
    expect(first!.take(1_024 * KiB)).toBe(true);
    first!.leave();
    expect(second!.take(1_025 * KiB)).toBe(false);
    await nextTurn();
    expect(resumed).toEqual([]);
  });
});

test('many large uploads at once get through whole, stopped and resumed in turns', async () => {
  const size = 3_000_000;
  const app = express();
  app.use(fileSize({ maxFile: '10mb' }), (req, res) => {
    let total = 0;
    req.on('data', (chunk: Buffer) => (total += chunk.length)).on('end', () => res.json(total));
  });
  listening = await listen(app);
  const { url } = listening;
  const body = Buffer.alloc(size);
  const sent = Array.from({ length: 40 }, async () => (await fetch(url, { method: 'POST', body })).json());
  expect(new Set(await Promise.all(sent))).toEqual(new Set([size]));
});

test('the rest of many refused uploads comes in too', async () => {
  const requests: express.Request[] = [];
  const app = express();
  app.use((req, _res, next) => (requests.push(req), next()));
  app.use(fileSize({ maxFile: 100_000 }), (req) => void req.on('error', () => {}).resume());
  listening = await listen(app);
  const { url } = listening;
  const sent = Array.from({ length: 40 }, async () => {
    const body = new Blob([Buffer.alloc(3_000_000)]).stream();
    return (await fetch(url, { method: 'POST', body, duplex: 'half' })).status;
  });
  expect(new Set(await Promise.all(sent))).toEqual(new Set([413]));
  await until(() => requests.every(({ complete }) => complete), 'all of all bodies');
});
