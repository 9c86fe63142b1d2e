import type { Response } from 'express';
import request from 'supertest';
import { deferred, expressVersions } from '../support/apps.js';
import { jobLimits, MemoryStore } from '../../lib/index.js';
import { created, jobApi } from '../support/job-api.js';

const jobId = (req: { get(name: string): string | undefined }): string =>
  req.get('idempotency-key') as string;

describe.each(expressVersions)('a request that repeats an earlier one, on %s', (_name, express) => {
  const post = (app: Parameters<typeof request>[0], key: string) =>
    request(app).post('/jobs').set('idempotency-key', key);

  it('is answered 409 JOB_EXISTS with the state, charges nothing and refunds nothing', async () => {
    const { app, used, limits } = jobApi(express, ({ admission }) => [admission({ jobId }), created]);
    await post(app, 'one').expect(201);
    const replay = await post(app, 'one').expect(409);
    expect(replay.body).toEqual({
      error: 'JOB_EXISTS',
      message: 'A job with this id exists',
      info: { id: 'one', state: 'running' },
    });
    expect(replay.headers['retry-after']).toBeUndefined();
    expect(await used()).toEqual({ 'creation-rate': 1, concurrency: 1 });
    await limits.finish({ customer: 'acme', id: 'one' }, { state: 'completed' });
    const finished = await post(app, 'one').expect(409);
    expect((finished.body as { info: unknown }).info).toEqual({ id: 'one', state: 'completed' });
    expect(await used()).toEqual({ 'creation-rate': 1, concurrency: 0 });
  });

  it('while the first is undecided is 409 JOB_IN_PROGRESS, to be tried again in a second', async () => {
    const handled = deferred<Response>();
    const { app, used } = jobApi(express, ({ admission }) => [
      admission({ jobId, onReplay: 'pass' }),
      (_req, res) => handled.resolve(res),
    ]);
    const first = post(app, 'one').then(({ status }) => status);
    const res = await handled.promise;
    const replay = await post(app, 'one').expect(409);
    expect(replay.body).toEqual({
      error: 'JOB_IN_PROGRESS',
      message: 'This job is being created by another request',
      info: { retryIn: 1, id: 'one', state: 'pending' },
    });
    expect(replay.headers['retry-after']).toBe('1');
    res.status(201).end();
    expect(await first).toBe(201);
    expect(await used()).toEqual({ 'creation-rate': 1, concurrency: 1 });
  });

  it("reaches the handler with 'pass', whose failing does not refund the job", async () => {
    const { app, used } = jobApi(express, (limits) => [
      limits.admission({ jobId, onReplay: 'pass' }),
      (req, res) => {
        const job = limits.job(req);
        res.status(job.replayed ? 500 : 201).json({ replayed: job.replayed, state: job.existing?.state });
      },
    ]);
    await post(app, 'one').expect(201, { replayed: false });
    await post(app, 'one').expect(500, { replayed: true, state: 'running' });
    expect(await used()).toEqual({ 'creation-rate': 1, concurrency: 1 });
  });

  it('goes to onReplay, whose errors reach the error handler', async () => {
    const { app } = jobApi(express, ({ admission }) => [
      admission({
        jobId,
        onReplay: async (job, _req, res) => {
          await Promise.resolve();
          if (job.ref.id === 'bad') throw Object.assign(new Error('no'), { status: 418 });
          res.status(200).json({ again: job.ref.id });
        },
      }),
      created,
    ]);
    for (const key of ['one', 'bad']) await post(app, key).expect(201);
    await post(app, 'one').expect(200, { again: 'one' });
    await post(app, 'bad').expect(418);
  });

  it("gives back what another customer's middleware has charged for the request, also when the store is slow", async () => {
    const slow = deferred();
    class SlowStore extends MemoryStore {
      override async refund(...args: Parameters<MemoryStore['refund']>) {
        const answer = await super.refund(...args);
        await slow.promise;
        return answer;
      }
    }
    const store = new SlowStore();
    const all = jobLimits({
      store,
      customer: () => 'all',
      plans: { one: { concurrency: { limit: 5 } } },
    });
    const { app } = jobApi(express, ({ admission }) => [
      all.admission(),
      admission({ jobId, onReplay: (_job, _req, res) => res.status(200).end() }),
      created,
    ]);
    const failures: unknown[] = [];
    all.on('store-error', (failure) => failures.push(failure));
    await post(app, 'one').expect(201);
    await post(app, 'one').expect(200);
    expect((await store.usage('all', [])).running).toHaveLength(1);
    slow.resolve();
    await all.close();
    expect(failures).toEqual([]);
  });

  it('is new again after the first was refunded', async () => {
    let status = 500;
    const { app, used } = jobApi(express, ({ admission }) => [
      admission({ jobId }),
      (_req, res) => void res.status(status).end(),
    ]);
    await post(app, 'one').expect(500);
    status = 201;
    await post(app, 'one').expect(201);
    expect(await used()).toEqual({ 'creation-rate': 1, concurrency: 1 });
  });

  it('is another job for another customer', async () => {
    const { app } = jobApi(express, ({ admission }) => [admission({ jobId }), created]);
    await post(app, 'one').set('x-customer', 'acme').expect(201);
    await post(app, 'one').set('x-customer', 'globex').expect(201);
  });

  it('of two at the same moment one makes the job', async () => {
    const { app, used } = jobApi(express, ({ admission }) => [admission({ jobId }), created]);
    const answers = await Promise.all(Array.from({ length: 5 }, () => post(app, 'one')));
    expect(answers.filter(({ status }) => status === 201)).toHaveLength(1);
    expect(answers.filter(({ status }) => status === 409)).toHaveLength(4);
    expect(await used()).toEqual({ 'creation-rate': 1, concurrency: 1 });
  });
});
