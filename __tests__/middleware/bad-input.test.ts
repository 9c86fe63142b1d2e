import request from 'supertest';
import type { JobLimitsOptions } from '../../lib/index.js';
import { expressVersions } from '../support/apps.js';
import { created, jobApi } from '../support/job-api.js';

describe.each(expressVersions)('bad input on %s', (_name, express) => {
  const post = async (options: Partial<JobLimitsOptions>, own = {}) => {
    const api = jobApi(express, ({ admission }) => [admission(own), created], options);
    const answer = await request(api.app).post('/jobs');
    return { ...api, answer, code: (answer.body as { code?: string }).code };
  };

  it.each([[undefined], [null], [''], [Promise.resolve(undefined)]])(
    'no customer (%p) is 401 CUSTOMER_MISSING',
    async (nobody) => {
      const { answer, code } = await post({ customer: () => nobody });
      expect([answer.status, code]).toEqual([401, 'CUSTOMER_MISSING']);
      expect(answer.headers['www-authenticate']).toBeUndefined();
    },
  );

  it.each([[17], [{}], ['x'.repeat(513)], ['ü'.repeat(257)], ['\ud800']])(
    'a customer that is no id (%p) is 400',
    async (bad) => {
      const { answer, code } = await post({ customer: () => bad as string });
      expect([answer.status, code]).toEqual([400, 'CUSTOMER_INVALID']);
    },
  );

  it.each([
    [
      'throws',
      () => {
        throw new Error('db');
      },
      500,
    ],
    ['rejects', () => Promise.reject(new Error('db')), 500],
    [
      'throws with a status',
      () => {
        throw Object.assign(new Error('who?'), { status: 403 });
      },
      403,
    ],
  ])('a customer function that %s goes to the error handler', async (_what, customer, status) => {
    const { answer, code } = await post({ customer });
    expect([answer.status, code]).toEqual([status, 'CUSTOMER_FAILED']);
  });

  it.each([
    ['returns an unknown name', () => 'gold', 'PLAN_UNKNOWN'],
    ['returns nothing', () => undefined as unknown as string, 'PLAN_INVALID'],
    ['returns a wrong plan', () => ({ creationRate: { limit: -1, window: '1m' } }), 'PLAN_INVALID'],
    [
      'throws',
      () => {
        throw new Error('db');
      },
      'PLAN_FAILED',
    ],
    ['rejects', () => Promise.reject(new Error('db')), 'PLAN_FAILED'],
  ])(
    'a plan function that %s goes to the error handler and charges nothing',
    async (_what, plan, expected) => {
      const { answer, code, store } = await post({ plan });
      expect([answer.status, code]).toEqual([500, expected]);
      expect((await store.usage('acme', [])).running).toEqual([]);
    },
  );

  it('a plan that failed once is looked up again', async () => {
    let calls = 0;
    const { app } = jobApi(express, ({ admission }) => [admission(), created], {
      plan: async () => {
        calls += 1;
        if (calls === 1) throw new Error('db');
        return 'free';
      },
    });
    await request(app).post('/jobs').expect(500);
    await request(app).post('/jobs').expect(201);
    await request(app).post('/jobs').expect(201);
    expect(calls).toBe(2);
  });

  it.each([
    ['no id', undefined, 400, 'JOB_ID_INVALID'],
    ['an empty id', '', 400, 'JOB_ID_INVALID'],
    ['an id that is too long', 'x'.repeat(513), 400, 'JOB_ID_INVALID'],
    ['an id that is no text', '\udfff', 400, 'JOB_ID_INVALID'],
  ])('jobId that gives %s', async (_what, id, status, expected) => {
    const { answer, code } = await post({}, { jobId: () => id as string });
    expect([answer.status, code]).toEqual([status, expected]);
  });

  it('jobId that throws', async () => {
    const { answer, code } = await post(
      {},
      {
        jobId: () => {
          throw new Error('no');
        },
      },
    );
    expect([answer.status, code]).toEqual([500, 'JOB_ID_FAILED']);
  });

  it.each([
    ['x'.repeat(512)],
    ['ü'.repeat(256)],
    ['__proto__'],
    ['a b\n\t\u0000'],
    ['💥'.repeat(128)],
    ['{"a":1}'],
  ])('ids of any content work: %p', async (id) => {
    const { answer, store } = await post({ customer: () => id }, { jobId: () => id });
    expect(answer.status).toBe(201);
    expect((await store.job({ customer: id, id }))?.state).toBe('running');
  });

  it('skip and match that throw go to the error handler', async () => {
    const fail = () => {
      throw Object.assign(new Error('no'), { status: 418 });
    };
    for (const own of [{ skip: fail }, { match: fail }]) {
      expect((await post({}, own)).answer.status).toBe(418);
    }
  });

  it('finish and renew refuse what is no ref', async () => {
    const { limits } = await post({});
    for (const ref of [
      undefined,
      null,
      {},
      'id',
      { customer: 'acme' },
      { customer: 'acme', id: 5 },
      { customer: '', id: 'x' },
    ]) {
      await expect(limits.finish(ref as never, { state: 'completed' })).rejects.toMatchObject({
        code: 'JOB_REF_INVALID',
      });
      await expect(limits.renew(ref as never)).rejects.toMatchObject({ code: 'JOB_REF_INVALID' });
    }
    for (const outcome of [undefined, {}, { state: 'done' }]) {
      await expect(limits.finish({ customer: 'acme', id: 'x' }, outcome as never)).rejects.toMatchObject({
        code: 'JOB_STATE_INVALID',
      });
    }
    await expect(limits.finish({ customer: 'acme', id: 'x' }, { state: 'failed' })).resolves.toBe('unknown');
  });
});
