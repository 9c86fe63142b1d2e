import { request as httpRequest } from 'node:http';
import { Readable } from 'node:stream';
import type { NextFunction, Request, Response } from 'express';
import request from 'supertest';
import type { AdmittedJob, JobLimits } from '../../lib/index.js';
import { deferred, expressVersions } from '../support/apps.js';
import { created, jobApi, listen, until } from '../support/job-api.js';

describe.each(expressVersions)('what the answer does to the job, on %s', (_name, express) => {
  const running = { 'creation-rate': 1, concurrency: 1 };
  const nothing = { 'creation-rate': 0, concurrency: 0 };

  it.each([200, 201, 202, 204, 303])('%i commits it', async (status) => {
    const { app, limits, used, store } = jobApi(express, ({ admission }) => [
      admission(),
      (_req, res) => void res.status(status).end(),
    ]);
    const commits: string[] = [];
    limits.on('commit', ({ answer }) => commits.push(answer));
    await request(app).post('/jobs').expect(status);
    expect(commits).toEqual(['committed']);
    expect(await used()).toEqual(running);
    const [job] = (await store.usage('acme', [])).running;
    expect(job?.state).toBe('running');
  });

  it.each([400, 404, 409, 422, 500, 503])('%i refunds it', async (status) => {
    const { app, used } = jobApi(express, ({ admission }) => [
      admission(),
      (_req, res) => void res.status(status).end(),
    ]);
    await request(app).post('/jobs').expect(status);
    expect(await used()).toEqual(nothing);
  });

  it('an error passed on refunds it, thrown or next(error)', async () => {
    const { app, used } = jobApi(express, ({ admission }) => [
      admission(),
      (_req, _res, next) => next(Object.assign(new Error('no queue'), { status: 503 })),
    ]);
    await request(app).post('/jobs').expect(503);
    expect(await used()).toEqual(nothing);
  });

  it('a job that was committed stays, whatever the answer is', async () => {
    const { app, used } = jobApi(express, (limits) => [
      limits.admission(),
      async (req, res) => {
        await limits.job(req).commit();
        res.status(500).end();
      },
    ]);
    await request(app).post('/jobs').expect(500);
    expect(await used()).toEqual(running);
  });

  it('commit(enqueue) hands over the ref, and refunds when enqueueing fails', async () => {
    const refs: unknown[] = [];
    let fail = false;
    const { app, used, store } = jobApi(express, (limits) => [
      limits.admission(),
      (req, res, next) => {
        limits
          .job(req)
          .commit((ref) => {
            if (fail) throw new Error('queue is down');
            refs.push(ref);
            return { queued: ref.id };
          })
          .then((queued) => res.status(201).json(queued), next);
      },
    ]);
    const first = await request(app).post('/jobs').expect(201);
    expect(refs).toEqual([{ customer: 'acme', id: (first.body as { queued: string }).queued }]);
    expect((await store.job(refs[0] as never))?.state).toBe('running');
    fail = true;
    const failed = await request(app).post('/jobs').expect(500);
    expect(failed.body).toMatchObject({ message: 'queue is down' });
    expect(await used()).toEqual(running);
  });

  it('refund() in the handler gives everything back, and a commit after it is an error', async () => {
    const answers: unknown[] = [];
    const { app, used } = jobApi(express, (limits) => [
      limits.admission(),
      async (req, res) => {
        const job = limits.job(req);
        answers.push(await job.refund(), await job.refund());
        await job.commit().catch((error: { code: string }) => answers.push(error.code));
        res.status(200).end();
      },
    ]);
    await request(app).post('/jobs').expect(200);
    expect(answers).toEqual(['refunded', 'nothing', 'JOB_NOT_COMMITTED']);
    expect(await used()).toEqual(nothing);
  });

  it('requestWasSuccessful decides instead of the status', async () => {
    const { app, used } = jobApi(express, ({ admission }) => [
      admission({ requestWasSuccessful: (_req, res) => res.getHeader('x-error') === undefined }),
      (_req, res) => void res.set('x-error', 'yes').status(200).end(),
    ]);
    await request(app).post('/jobs').expect(200);
    expect(await used()).toEqual(nothing);
  });

  it('a loop of failing creations is stopped by the rate after twice its limit', async () => {
    const { app } = jobApi(express, ({ admission }) => [
      admission(),
      (_req, res) => void res.status(400).end(),
    ]);
    const statuses: number[] = [];
    for (let i = 0; i < 15; i += 1) statuses.push((await request(app).post('/jobs')).status);
    expect(statuses).toEqual([...Array<number>(10).fill(400), ...Array<number>(5).fill(413)]);
  });

  it('other methods, skipped and unmatched requests pass uncharged', async () => {
    const { app, used, limits } = jobApi(express, ({ admission }) => [admission(), created]);
    app.use(
      '/all',
      limits.admission({ match: (req) => req.path === '/jobs', skip: (req) => req.query['dry'] === '1' }),
      (req, res) => void res.json({ admitted: 'job' in req }),
    );
    await request(app).get('/all/jobs').expect({ admitted: false });
    await request(app).post('/all/login').expect({ admitted: false });
    await request(app).post('/all/jobs?dry=1').expect({ admitted: false });
    expect(await used()).toEqual(nothing);
    await request(app).post('/all/jobs').expect({ admitted: true });
    expect(await used()).toEqual(running);
  });

  describe('when the client goes away', () => {
    /** Sends a request, waits until the handler has it, cuts the connection and waits until the server knows. */
    async function abandoned(handler: (job: AdmittedJob, res: Response) => void | Promise<void>) {
      const handled = deferred<{ req: Request; res: Response }>();
      const gone = deferred();
      const api = jobApi(express, (limits: JobLimits) => [
        limits.admission(),
        (req: Request, res: Response, next: NextFunction) => {
          res.on('close', () => gone.resolve());
          handled.resolve({ req, res });
          gone.promise.then(() => handler(limits.job(req), res)).catch(next);
        },
      ]);
      const { port, close } = await listen(api.app);
      const client = httpRequest({ port, host: '127.0.0.1', method: 'POST', path: '/jobs' });
      client.on('error', () => undefined);
      client.end();
      await handled.promise;
      expect(await api.used()).toEqual(running);
      client.destroy();
      await gone.promise;
      await new Promise((resolve) => setImmediate(resolve));
      return { ...api, close };
    }

    it.each([
      ['201 by end()', (res: Response) => void res.status(201).end(), 'running'],
      ['201 by json()', (res: Response) => void res.status(201).json({ ok: true }), 'running'],
      ['201 by write()', (res: Response) => void res.status(201).write('{'), 'running'],
      ['201 by a stream', (res: Response) => void Readable.from(['a', 'b']).pipe(res.status(201)), 'running'],
      ['400 by end()', (res: Response) => void res.status(400).end(), 'refunded'],
      ['500 by json()', (res: Response) => void res.status(500).json({}), 'refunded'],
      [
        '502 by a stream',
        (res: Response) => void Readable.from(['a', 'b']).pipe(res.status(502)),
        'refunded',
      ],
    ])('the status that the app gives afterwards counts: %s', async (_what, answer, state) => {
      const { limits, used, close } = await abandoned((_job, res) => answer(res));
      const expected = state === 'running' ? running : nothing;
      await until(async () => JSON.stringify(await used()) === JSON.stringify(expected));
      expect((await limits.usageOf('acme')).running.map((job) => job.state)).toEqual(
        state === 'running' ? ['running'] : [],
      );
      await close();
    });

    it('a stream that was piped into the answer before counts too', async () => {
      const source = new Readable({ read: () => undefined });
      const handled = deferred();
      const api = jobApi(express, ({ admission }) => [
        admission(),
        (_req, res) => {
          source.pipe(res.status(201));
          handled.resolve();
        },
      ]);
      const { port, close } = await listen(api.app);
      const client = httpRequest({ port, host: '127.0.0.1', method: 'POST', path: '/jobs' });
      client.on('error', () => undefined);
      client.end();
      await handled.promise;
      client.destroy();
      await until(async () => (await api.limits.usageOf('acme')).running[0]?.state === 'running');
      await close();
    });

    it('an app that never answers loses the pending lease and gets it all back', async () => {
      const { limits, used, clock, close } = await abandoned(() => undefined);
      const lapsed: unknown[] = [];
      limits.on('lapsed', ({ ref }) => lapsed.push(ref.customer));
      clock.advance(59_000);
      expect(await used()).toEqual(running);
      clock.advance(1_000);
      expect(await used()).toEqual(nothing);
      expect(lapsed).toEqual(['acme']);
      await close();
    });

    it('a job committed after its pending lease ran out is charged all the same', async () => {
      const later = deferred();
      const done = deferred();
      const { limits, used, clock, close } = await abandoned(async (job) => {
        await later.promise;
        await job.commit();
        done.resolve();
      });
      clock.advance(61_000);
      expect(await used()).toEqual(nothing);
      const answers: string[] = [];
      limits.on('commit', ({ answer }) => answers.push(answer));
      later.resolve();
      await done.promise;
      expect(answers).toEqual(['reinstated']);
      expect(await used()).toEqual(running);
      await close();
    });
  });

  it('the pending lease is renewed as long as the request is open', async () => {
    const handled = deferred<Response>();
    const { app, used, clock } = jobApi(express, ({ admission }) => [
      admission(),
      (_req, res) => handled.resolve(res),
    ]);
    const answer = request(app).post('/jobs').expect(201);
    const answered = answer.then(() => undefined);
    const res = await handled.promise;
    for (let minute = 0; minute < 10; minute += 1) {
      for (let i = 0; i < 6; i += 1) clock.advance(10_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect((await used())['concurrency']).toBe(1);
    res.status(201).end();
    await answered;
    expect((await used())['concurrency']).toBe(1);
  });
});
