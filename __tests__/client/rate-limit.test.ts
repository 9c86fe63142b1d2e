import { readRateLimit } from '../../lib/client/rate-limit.js';

const read = (value: string): unknown => readRateLimit(new Headers({ RateLimit: value }));

test.each<[string, string, object[]]>([
  ['one limit', '"creation-rate";r=249;t=41', [{ r: 249, t: 41 }]],
  [
    'several, one without a time',
    '"creation-rate";r=249;t=41, "concurrency";r=0',
    [
      { r: 249, t: 41 },
      { r: 0, t: undefined },
    ],
  ],
  ['separators within a name', '"a;r=1,b;t=2";r=3;t=4', [{ r: 3, t: 4 }]],
  ['quotes and backslashes within a name', String.raw`"a\";r=1,\\";r=3`, [{ r: 3, t: undefined }]],
  ['a partition key', '"a";pk=:cGs9PQ==:;r=3;t=4', [{ r: 3, t: 4 }]],
  ['a partition key as a string', '"a";pk=";r=1,";r=3', [{ r: 3, t: undefined }]],
  [
    'spaces',
    '"a"; r=3; t=4 ,  "b"; r=5',
    [
      { r: 3, t: 4 },
      { r: 5, t: undefined },
    ],
  ],
  ['other parameters, of similar names', '"a";rr=1;xr=2;r=3;tt=5;late;t=4', [{ r: 3, t: 4 }]],
  ['a time of 0', '"a";r=0;t=0', [{ r: 0, t: 0 }]],
  ['what is no whole number', '"a";r=-1;t=4, "b";r=1.5, "c";r=x, "d";r=7;t=-1', [{ r: 7, t: undefined }]],
  ['an older draft', 'limit=10, remaining=9, reset=60', []],
  ['nothing', '', []],
])('%s', (_name, value, expected) => {
  expect(read(value)).toEqual(expected);
});

test('no header, no limits', () => {
  expect(readRateLimit(new Headers())).toEqual([]);
});

test('a hostile header of any length that Node lets through is read in linear time', () => {
  // One that backtracks would take minutes and run into the test's own time limit.
  for (const part of ['"', '\\"', ';r=1', '"\\', ';', ' ;  ', ',"', '\t'])
    expect(() => read(`"${part.repeat(Math.floor(16_000 / part.length))}x`)).not.toThrow();
});
