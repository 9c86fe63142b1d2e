import fc from 'fast-check';
import { bullJobId, refOfBullJob } from '../../lib/bullmq/index.js';

const id = fc.string({ unit: 'grapheme', minLength: 1, maxLength: 40 });

it('names every job so that its ref can be read again, and as BullMQ takes ids', () => {
  fc.assert(
    fc.property(id, id, (customer, job) => {
      const jobId = bullJobId({ customer, id: job });
      expect(refOfBullJob(jobId)).toEqual({ customer, id: job });
      expect(jobId).not.toContain(':');
      expect(String(parseInt(jobId, 10))).not.toBe(jobId);
    }),
  );
});

it('can be read by people', () => {
  expect(bullJobId({ customer: 'acme', id: 'x-1' })).toBe('x-1@acme');
});

it.each([
  '1',
  'b1f3',
  'repeat:daily:1700000000000',
  '',
  '@',
  'x@',
  '@acme',
  'x@y@z',
  '%E0%A4%A@acme',
  'a b@acme',
])('%j is no id of a job with a ref', (jobId) => {
  expect(refOfBullJob(jobId)).toBeUndefined();
});

it('refuses what is no ref', () => {
  expect(() => bullJobId({ customer: '', id: 'x' })).toThrow(/expected a job ref/);
});
