import fc from 'fast-check';
import { describe as describeValue } from '../lib/errors.js';
import { ManualClock } from '../lib/clock.js';
import { isId } from '../lib/http/customer.js';
import { parseDuration, parseSize } from '../lib/units.js';

it.each([
  [0, 0],
  [1500, 1500],
  ['90s', 90_000],
  ['1m', 60_000],
  ['8h', 28_800_000],
  ['1.5 hours', 5_400_000],
])('the duration %p is %p ms', (value, expected) => expect(parseDuration(value, 'x')).toBe(expected));

it.each([
  [-1],
  [NaN],
  [Infinity],
  ['1'],
  [''],
  ['m'],
  ['-1m'],
  ['1x'],
  [null],
  [undefined],
  [{}],
  [[1]],
  [true],
  ['1m 5s'],
  ['200y'],
])('the duration %p is refused', (value) =>
  expect(() => parseDuration(value, 'x.y')).toThrow(/^x\.y: expected a duration.*\(CONFIG_BAD_DURATION/),
);

it.each([
  [0, 0],
  [10, 10],
  ['500kb', 512_000],
  ['1gb', 1_073_741_824],
  ['1.5 MB', 1_572_864],
])('the size %p is %p bytes', (value, expected) => expect(parseSize(value, 'x')).toBe(expected));

it.each([[-1], [0.5], [NaN], ['1'], ['-1kb'], ['kb'], ['1kib'], [null], [undefined], [{}]])(
  'the size %p is refused',
  (value) => expect(() => parseSize(value, 'x.y')).toThrow(/^x\.y: expected a size.*\(CONFIG_BAD_SIZE/),
);

it('any value can be described, shortly', () => {
  fc.assert(
    fc.property(
      fc.anything({ withBigInt: true, withDate: true, withNullPrototype: true }),
      (value) => describeValue(value).length < 120,
    ),
  );
  expect(describeValue(Symbol('x'))).toBe('Symbol(x) (symbol)');
});

it('an id is well-formed text of 1 to 512 bytes', () => {
  fc.assert(
    fc.property(fc.string({ unit: 'binary', maxLength: 700 }), (text) => {
      const bytes = Buffer.byteLength(text);
      expect(isId(text)).toBe(bytes >= 1 && bytes <= 512 && Buffer.from(text).toString() === text);
    }),
  );
  expect(isId('\ud83d')).toBe(false);
});

it('ManualClock runs timers in order, each at its own time', () => {
  const clock = new ManualClock();
  const seen: string[] = [];
  const stop = clock.every(300, () => seen.push(`a${clock.now()}`));
  clock.every(500, () => seen.push(`b${clock.now()}`));
  clock.advance(1000);
  stop();
  clock.advance(500);
  expect(seen).toEqual(['a300', 'b500', 'a600', 'a900', 'b1000', 'b1500']);
  clock.setWall(0);
  expect([clock.now(), clock.wallNow()]).toEqual([1500, 0]);
});
