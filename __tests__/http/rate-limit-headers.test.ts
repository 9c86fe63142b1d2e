import type { Request, Response } from 'express';
import type { LimitState } from '../../lib/index.js';
import { showLimits } from '../../lib/http/rate-limit-headers.js';

const quota = (more: Partial<LimitState>): LimitState => ({
  name: 'q',
  kind: 'quota',
  limit: 100,
  used: 1,
  remaining: 99,
  resetAfterMs: 1500,
  windowMs: undefined,
  unit: 'jobs',
  per: 'month',
  mode: 'enforce',
  ...more,
});

/** The two headers that these limits get. */
function headersOf(...limits: LimitState[]): (string | undefined)[] {
  const headers: Record<string, string> = {};
  const res = { headersSent: false, setHeader: (name: string, value: string) => (headers[name] = value) };
  showLimits({} as Request, res as unknown as Response, limits);
  return [headers['RateLimit-Policy'], headers['RateLimit']];
}

it.each<[string, Partial<LimitState>, string, string]>([
  ['jobs a month, which has no fixed length', {}, '"q";q=100', '"q";r=99;t=2'],
  ['jobs a day', { per: 'day' }, '"q";q=100;w=86400', '"q";r=99;t=2'],
  ['jobs an hour', { per: 'hour' }, '"q";q=100;w=3600', '"q";r=99;t=2'],
  ['bytes', { unit: 'bytes', per: 'day' }, '"q";q=100;qu="content-bytes";w=86400', '"q";r=99;t=2'],
  [
    'jobs stored, which no clock gives back',
    { per: 'stored', resetAfterMs: undefined },
    '"q";q=100',
    '"q";r=99',
  ],
  [
    'more than a header can say',
    { limit: 2 ** 53 - 1, remaining: 2 ** 53 - 2 },
    '"q";q=999999999999999',
    '"q";r=999999999999999;t=2',
  ],
])('a quota of %s', (_what, more, policy, state) => {
  expect(headersOf(quota(more))).toEqual([policy, state]);
});

it('a quota of a unit that is not registered is left out: it would read as requests', () => {
  expect(headersOf(quota({ unit: 'audioSeconds' }))).toEqual([undefined, undefined]);
  expect(headersOf(quota({}), quota({ name: 's', unit: 'audioSeconds' }))[0]).toBe('"q";q=100');
});

it('a quota in shadow mode is left out', () => {
  expect(headersOf(quota({ mode: 'shadow' }))).toEqual([undefined, undefined]);
});

it('a window under a second is left out, others are whole seconds', () => {
  const rate = quota({ kind: 'creation-rate', windowMs: 500, unit: undefined, per: undefined });
  expect(headersOf(rate)[0]).toBe('"q";q=100');
  expect(headersOf({ ...rate, windowMs: 1000 })[0]).toBe('"q";q=100;w=1');
});
