import fc from 'fast-check';
import { inBatches } from '../../lib/client/index.js';

test('splits into batches of at most the limit', () => {
  expect(inBatches(['a', 'b', 'c', 'd', 'e'], 2)).toEqual([['a', 'b'], ['c', 'd'], ['e']]);
  expect(inBatches(new Set(['a']), 100)).toEqual([['a']]);
  expect(inBatches([], 100)).toEqual([]);
});

test('keeps every entry, in order, in as few batches as can be', () => {
  fc.assert(
    fc.property(fc.array(fc.anything()), fc.integer({ min: 1, max: 20 }), (items, limit) => {
      const batches = inBatches(items, limit);
      expect(batches.flatMap((batch) => batch.map((item) => [item]))).toEqual(items.map((item) => [item]));
      expect(batches).toHaveLength(Math.ceil(items.length / limit));
      for (const { length } of batches) expect(length <= limit && length > 0).toBe(true);
    }),
  );
});

test.each([0, -1, 1.5, NaN, Infinity, '2'])('a limit of %p is none', (limit) => {
  expect(() => inBatches(['a'], limit as number)).toThrow(
    expect.objectContaining({ name: 'TypeError', code: 'CONFIG_INVALID_OPTION' }) as Error,
  );
});
