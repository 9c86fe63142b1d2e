import fc from 'fast-check';
import { RateCounters } from '../../lib/guard/rates.js';

// The counter as HAProxy's documentation and behaviour have it, written from the statement and not from the class:
// nothing is shared with it but the order of the arithmetic, which decides how a reading rounds.
class Stated {
  prev = 0;
  curr = 0;
  start: number | undefined;

  constructor(readonly period: number) {}

  event(now: number): void {
    if (this.start === undefined || now - this.start >= 2 * this.period) {
      Object.assign(this, { prev: 0, curr: 1, start: now });
    } else if (now - this.start >= this.period) {
      Object.assign(this, { prev: this.curr, curr: 1, start: this.start + this.period });
    } else {
      this.curr += 1;
    }
  }

  read(now: number): number {
    if (this.start === undefined || now - this.start > 2 * this.period) return 0;
    if (now - this.start < this.period) {
      return Math.floor((this.prev * (this.start + this.period - now)) / this.period) + this.curr;
    }
    // No event since: the current count stands as the one before, of a window that began a period later.
    if (this.curr <= 1) return this.curr;
    return Math.floor((this.curr * (this.start + 2 * this.period - now)) / this.period);
  }
}

// Mulberry32: 10^5 sequences of many steps need a generator that costs nothing, and a seed that can be repeated.
function randomOf(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let mixed = Math.imul(state ^ (state >>> 15), 1 | state);
    mixed = (mixed + Math.imul(mixed ^ (mixed >>> 7), 61 | mixed)) ^ mixed;
    return ((mixed ^ (mixed >>> 14)) >>> 0) / 2 ** 32;
  };
}

describe('a rate counter', () => {
  test('reads as stated, after every event and between them, in 100,000 random sequences', () => {
    const sequences = 100_000;
    const random = randomOf(20_261_124);
    const counters = new RateCounters(1, 10_000);
    let compared = 0;
    let differing = 0;
    for (let sequence = 0; sequence < sequences; sequence += 1) {
      const stated = new Stated(10_000);
      counters.clear(0);
      let now = Math.floor(random() * 1e9);
      // Gaps from bursts to silence, and exactly on the edges where an off-by-one would hide.
      const gaps = [0, 1, 9_999, 10_000, 10_001, 19_999, 20_000, 20_001];
      for (let step = 0; step < 20; step += 1) {
        const kind = random();
        if (kind < 0.2) now += gaps[Math.floor(random() * gaps.length)]!;
        else if (kind < 0.8) now += Math.floor(random() * 900);
        else now += Math.floor(random() * 15_000);
        if (random() < 0.8) {
          stated.event(now);
          counters.add(0, now);
        }
        compared += 1;
        if (stated.read(now) !== counters.read(0, now)) differing += 1;
      }
    }
    expect({ compared, differing }).toEqual({ compared: sequences * 20, differing: 0 });
  });

  test('reads as stated with fractions of milliseconds and any window', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 100_000 }),
        fc.array(fc.tuple(fc.double({ min: 0, max: 30_000, noNaN: true }), fc.boolean()), { maxLength: 60 }),
        (period, steps) => {
          const stated = new Stated(period);
          const counters = new RateCounters(3, period);
          let now = 0;
          for (const [gap, isEvent] of steps) {
            now += gap;
            if (isEvent) {
              stated.event(now);
              counters.add(1, now);
            }
            expect(counters.read(1, now)).toBe(stated.read(now));
          }
          expect([counters.read(0, now), counters.read(2, now)]).toEqual([0, 0]);
        },
      ),
    );
  });

  test('is exact at the edges of its windows', () => {
    const counters = new RateCounters(1, 10_000);
    for (let event = 0; event < 7; event += 1) counters.add(0, 500);
    expect(counters.read(0, 10_499)).toBe(7);
    expect(counters.read(0, 10_500)).toBe(7);
    expect(counters.read(0, 15_500)).toBe(3);
    expect(counters.read(0, 20_500)).toBe(0);
    counters.add(0, 15_500);
    expect(counters.read(0, 15_500)).toBe(3 + 1);
  });

  test('keeps a single event undiminished until two windows are over', () => {
    const counters = new RateCounters(1, 10_000);
    counters.add(0, 0);
    expect([9_999, 10_000, 19_999, 20_000, 20_001].map((now) => counters.read(0, now))).toEqual([
      1, 1, 1, 1, 0,
    ]);
  });

  test('knows when nothing in it can matter any more', () => {
    const counters = new RateCounters(1, 10_000);
    expect(counters.isOver(0, 0)).toBe(true);
    counters.add(0, 100);
    expect([counters.isOver(0, 20_100), counters.isOver(0, 20_101)]).toEqual([false, true]);
  });
});

describe('the wait until a reading is within the limit', () => {
  const history = fc.array(fc.integer({ min: 0, max: 4_000 }), { minLength: 1, maxLength: 80 });

  test.each([0, 1] as const)(
    'is neither too short nor more than a millisecond too long, with %d upcoming',
    (own) => {
      let waited = 0;
      fc.assert(
        fc.property(history, fc.integer({ min: own, max: 20 }), (gaps, limit) => {
          const play = (): { counters: RateCounters; now: number } => {
            const counters = new RateCounters(1, 10_000);
            let now = 0;
            for (const gap of gaps) counters.add(0, (now += gap));
            return { counters, now };
          };
          const { counters, now } = play();
          const wait = counters.waitUntilWithin(limit, own, 0, now);
          const readingAt = (moment: number): number => {
            const again = play().counters;
            if (own === 1) again.add(0, moment);
            return again.read(0, moment);
          };
          expect(readingAt(now + wait)).toBeLessThanOrEqual(limit);
          if (wait > 1) {
            waited += 1;
            expect(readingAt(now + wait - 1.001)).toBeGreaterThan(limit);
          }
        }),
        { numRuns: 2_000 },
      );
      expect(waited).toBeGreaterThan(100);
    },
  );

  test('is endless for a limit that the retry alone exceeds', () => {
    const counters = new RateCounters(1, 10_000);
    counters.add(0, 0);
    expect(counters.waitUntilWithin(0, 1, 0, 0)).toBe(Infinity);
  });
});
