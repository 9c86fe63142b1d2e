import request from 'supertest';
import { type AdmitRequest, type CostOf } from '../../lib/index.js';
import { expressVersions } from '../support/apps.js';
import { created, jobApi } from '../support/job-api.js';

describe.each(expressVersions)('cost on %s', (_name, express) => {
  function host(cost: CostOf) {
    const api = jobApi(express, ({ admission }) => [admission({ cost }), created]);
    const admitted: AdmitRequest[] = [];
    const admit = api.store.admit.bind(api.store);
    api.store.admit = (asked) => {
      admitted.push(asked);
      return admit(asked);
    };
    return { ...api, admitted };
  }

  it.each<[string, CostOf]>([
    ['at once', (req) => ({ jobs: 1, audioSeconds: Number(req.get('x-seconds')), nobodyCounts: 5 })],
    ['later', async (req) => ({ jobs: 1, audioSeconds: Number(req.get('x-seconds')), nobodyCounts: 5 })],
  ])('says %s what the job takes', async (_when, cost) => {
    const { app, admitted } = host(cost);
    await request(app).post('/jobs').set('x-seconds', '600').expect(201);
    expect(admitted.map(({ amounts }) => amounts)).toEqual([{ jobs: 1, audioSeconds: 600, nobodyCounts: 5 }]);
  });

  it.each<[string, CostOf, number, string, RegExp]>([
    [
      'throws',
      () => {
        throw new Error('no');
      },
      500,
      'COST_FAILED',
      /no/,
    ],
    ['rejects', () => Promise.reject(new Error('no')), 500, 'COST_FAILED', /no/],
    [
      'is below zero',
      () => ({ audioSeconds: -1 }),
      400,
      'COST_INVALID',
      /cost\(req\)\.audioSeconds.*at least 0/,
    ],
    ['has a fraction', () => ({ audioSeconds: 0.5 }), 400, 'COST_INVALID', /whole number/],
    ['is no number', () => ({ audioSeconds: NaN }), 400, 'COST_INVALID', /NaN/],
    ['is text', () => ({ audioSeconds: '5' as never }), 400, 'COST_INVALID', /"5" \(string\)/],
    ['is too large to count', () => ({ audioSeconds: 2 ** 53 }), 400, 'COST_INVALID', /whole number/],
    ['is nothing', () => undefined as never, 400, 'COST_INVALID', /received nothing/],
    ['is a list', () => [1] as never, 400, 'COST_INVALID', /an array/],
  ])(
    'that %s goes to the error handler, and nothing is charged',
    async (_what, cost, status, code, message) => {
      const { app, admitted, used } = host(cost);
      const answer = await request(app).post('/jobs').expect(status);
      expect(answer.body).toEqual({ code, message: expect.stringMatching(message) as unknown });
      expect(admitted).toEqual([]);
      expect(await used()).toEqual({ 'creation-rate': 0, concurrency: 0 });
    },
  );

  it('is no option of a limit alone', () => {
    const { limits } = jobApi(express, () => [created]);
    const cost = () => ({});
    expect(() => limits.creationRate({ limit: 1, window: '1m', cost } as never)).toThrow(
      /creationRate\.cost/,
    );
    expect(() => limits.concurrency({ limit: 1, hold: 'job', cost } as never)).toThrow(/concurrency\.cost/);
  });
});
