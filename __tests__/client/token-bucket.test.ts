import fc from 'fast-check';
import { TokenBucket } from '../../lib/client/index.js';

test('holds so many, then tells when the next one comes', () => {
  const bucket = new TokenBucket({ capacity: 2, perSecond: 0.5 });
  expect([bucket.take(0), bucket.take(0), bucket.take(0)]).toEqual([0, 0, 2000]);
  expect(bucket.take(1500)).toBe(500);
  expect([bucket.take(2000), bucket.take(2000)]).toEqual([0, 2000]);
});

test('never holds more than its capacity', () => {
  const bucket = new TokenBucket({ capacity: 2, perSecond: 10 });
  for (let more = 0; more < 5; more++) bucket.giveBack();
  bucket.take(0);
  expect([bucket.take(1e9), bucket.take(1e9), bucket.take(1e9)]).toEqual([0, 0, 100]);
});

test('without a pace only what is given back comes back', () => {
  const bucket = new TokenBucket({ capacity: 1, perSecond: 0 });
  expect([bucket.take(0), bucket.take(1e9)]).toEqual([0, Infinity]);
  bucket.giveBack();
  expect(bucket.take(1e9)).toBe(0);
});

test('by default ten at once and one a second', () => {
  const bucket = new TokenBucket();
  expect(Array.from({ length: 11 }, () => bucket.take(5))).toEqual([...Array<number>(10).fill(0), 1000]);
});

test('in any stretch of time at most its capacity and what the time brings', () => {
  fc.assert(
    fc.property(
      fc.integer({ min: 1, max: 20 }),
      fc.integer({ min: 0, max: 50 }),
      fc.array(fc.nat(500), { minLength: 1, maxLength: 200 }),
      (capacity, perSecond, steps) => {
        const bucket = new TokenBucket({ capacity, perSecond });
        const taken: number[] = [];
        let now = 0;
        for (const step of steps) {
          now += step;
          if (bucket.take(now) === 0) taken.push(now);
        }
        taken.forEach((from, first) => {
          const to = taken.at(-1)!;
          const count = taken.length - first;
          expect(count).toBeLessThanOrEqual(capacity + ((to - from) / 1000) * perSecond + 1e-6);
        });
      },
    ),
  );
});

test('who waits as long as told gets a token', () => {
  fc.assert(
    fc.property(
      fc.double({ min: 0.001, max: 1000, noNaN: true }),
      fc.array(fc.nat(3000)),
      (perSecond, steps) => {
        const bucket = new TokenBucket({ capacity: 1, perSecond });
        let now = 0;
        for (const step of steps) {
          now += step;
          const waitMs = bucket.take(now);
          expect(Number.isInteger(waitMs)).toBe(true);
          if (waitMs === 0) continue;
          now += waitMs;
          expect(bucket.take(now)).toBeLessThanOrEqual(1);
        }
      },
    ),
  );
});
