import { json, type Request, type Response } from 'express';
import request from 'supertest';
import { retrying } from '../../lib/client/index.js';
import {
  concurrency,
  creationRate,
  MemoryStore,
  readFormPrefix,
  RequestError,
  type AdmissionOptions,
  type JobLimits,
} from '../../lib/index.js';
import { deferred, expressVersions, jsonErrors } from '../support/apps.js';
import { formBody } from '../support/forms.js';
import { jobApi, listen, type JobApi } from '../support/job-api.js';
import { rawSocket, until } from '../support/http.js';
import { TcpProxy } from '../support/tcp-proxy.js';

type App = Parameters<typeof request>[0];

const post = (app: App, key: string, customer = 'acme') =>
  request(app).post('/jobs').set('Idempotency-Key', key).set('x-customer', customer);

const existing: AdmissionOptions['onReplay'] = (job, _req, res) =>
  res.status(200).json({ id: job.ref.id, state: job.existing?.state });

const withKeys: AdmissionOptions = { idempotency: true, onReplay: existing };

const made = (limits: JobLimits) => (req: Request, res: Response) =>
  void res.status(201).json({ id: limits.job(req).ref.id });

const idOf = ({ body }: request.Response): string => (body as { id: string }).id;
const codeOf = ({ body }: request.Response): unknown => (body as { error: unknown }).error;

const ONE_JOB = { 'creation-rate': 1, concurrency: 1 };

describe.each(expressVersions)('Idempotency-Key, on %s', (_name, express) => {
  const api = (options: AdmissionOptions = withKeys): JobApi =>
    jobApi(express, (limits) => [limits.admission(options), made(limits)]);

  it('sent again is answered with the job that exists, charged once, whatever the limits say', async () => {
    const { app, used, limits, clock } = api();
    const first = await post(app, '"one"').expect(201);
    for (let i = 0; i < 10; i += 1) {
      await post(app, '"one"').expect(200, { id: idOf(first), state: 'running' });
    }
    expect(await used()).toEqual(ONE_JOB);

    await limits.finish({ customer: 'acme', id: idOf(first) }, { state: 'failed' });
    clock.advance(23 * 3_600_000);
    await post(app, '"one"').expect(200, { id: idOf(first), state: 'failed' });
    expect(await used()).toEqual({ 'creation-rate': 0, concurrency: 0 });
  });

  it('is the same with quotes and without', async () => {
    const { app } = api();
    const first = await post(app, '"k-1"').expect(201);
    expect(idOf(await post(app, 'k-1').expect(200))).toBe(idOf(first));
  });

  it('is another job for another customer, with an id that is no part of the key', async () => {
    const { app, used } = api();
    const ids = [
      await post(app, 'one', 'acme'),
      await post(app, 'one', 'globex'),
      await post(app, 'two', 'acme'),
    ].map(idOf);
    expect(new Set(ids).size).toBe(3);
    for (const id of ids) expect(id).toMatch(/^[\w-]{22}$/);
    expect(await used('globex')).toEqual(ONE_JOB);
  });

  it('missing makes each request a job of its own', async () => {
    const { app, used } = api();
    await request(app).post('/jobs').expect(201);
    await request(app).post('/jobs').expect(201);
    expect(await used()).toEqual({ 'creation-rate': 2, concurrency: 2 });
  });

  it("missing is answered 400 where it is 'required', and charges nothing", async () => {
    const { app, used } = api({ ...withKeys, idempotency: 'required' });
    const answer = await request(app).post('/jobs').expect(400);
    expect(answer.body).toEqual({
      error: 'IDEMPOTENCY_KEY_MISSING',
      message: 'This request needs an Idempotency-Key',
    });
    expect(answer.headers['retry-after']).toBeUndefined();
    await post(app, 'one').expect(201);
    expect(await used()).toEqual(ONE_JOB);
  });

  it.each([
    ['empty', ''],
    ['an empty string', '""'],
    ['two words', 'a b'],
    ['a string without an end', '"a'],
    ['longer than 255 characters', `"${'k'.repeat(256)}"`],
  ])('that is %s is answered 400 and charges nothing', async (_what, key) => {
    const { app, used } = api();
    const answer = await post(app, key).expect(400);
    expect(answer.body).toEqual({
      error: 'IDEMPOTENCY_KEY_INVALID',
      message: 'Idempotency-Key has to be one string of 1 to 255 ASCII characters',
    });
    expect(await used()).toEqual({ 'creation-rate': 0, concurrency: 0 });
  });

  it('that comes twice, or is no ASCII, is answered 400', async () => {
    const { port, close } = await listen(api().app);
    const socket = await rawSocket(port);
    const answers = () => [...socket.received().matchAll(/HTTP\/1\.1 (\d+)/g)].map(([, status]) => status);
    const send = (...headers: string[]) =>
      socket.write(
        ['POST /jobs HTTP/1.1', 'Host: a', 'Content-Length: 0', ...headers, '', ''].join('\r\n'),
        'latin1',
      );
    send('Idempotency-Key: "a"', 'Idempotency-Key: "b"');
    send('Idempotency-Key: "a"', 'Idempotency-Key: "a"');
    send('Idempotency-Key: a', 'Idempotency-Key: b');
    send('Idempotency-Key: "a"', 'Idempotency-Key:');
    send('Idempotency-Key: "schl\xfcssel"');
    send('Idempotency-Key: schl\xfcssel');
    send('Idempotency-Key: "a"');
    await until(() => answers().length === 7);
    await close();
    expect(answers()).toEqual([...Array<string>(6).fill('400'), '201']);
    expect(socket.received().match(/IDEMPOTENCY_KEY_INVALID/g)).toHaveLength(6);
  });

  it('of a job that was refunded is new again', async () => {
    let status = 500;
    const { app, used } = jobApi(express, ({ admission }) => [
      admission(withKeys),
      (_req, res) => void res.status(status).end(),
    ]);
    await post(app, 'one').expect(500);
    expect(await used()).toEqual({ 'creation-rate': 0, concurrency: 0 });
    status = 201;
    await post(app, 'one').expect(201);
    await post(app, 'one').expect(200);
    expect(await used()).toEqual(ONE_JOB);
  });

  it('of a request whose process died is new again when its pending lease has ended', async () => {
    const first = deferred<Response>();
    let handle = (res: Response): void => first.resolve(res);
    const { app, clock, used } = jobApi(express, ({ admission }) => [
      admission(withKeys),
      (_req, res) => handle(res),
    ]);
    const { port, close } = await listen(app);
    const socket = await rawSocket(port);
    socket.write('POST /jobs HTTP/1.1\r\nHost: a\r\nIdempotency-Key: one\r\nContent-Length: 0\r\n\r\n');
    const dead = await first.promise;
    socket.destroy();
    await until(() => dead.closed);
    const early = await post(app, 'one').expect(409);
    expect(codeOf(early)).toBe('JOB_IN_PROGRESS');

    clock.advance(60_000);
    handle = (res) => void res.status(201).end();
    await post(app, 'one').expect(201);
    expect(await used()).toEqual(ONE_JOB);
    await close();
  });

  it('makes one job of many requests at once: the others are told to come back, and get it then', async () => {
    const open = deferred<Response>();
    const { app, clock, used } = jobApi(express, (limits) => [
      limits.admission(withKeys),
      (_req, res) => open.resolve(res),
    ]);
    const { port, close } = await listen(app);
    const init = { method: 'POST', headers: { 'Idempotency-Key': '"one"' } };
    const first = fetch(`http://127.0.0.1:${port}/jobs`, init);
    const res = await open.promise;
    const sleep = async (ms: number): Promise<void> => {
      res.status(201).end();
      await first;
      clock.advance(ms);
    };
    const waited: unknown[] = [];
    const api = retrying(fetch, { jitter: 0, clock, sleep, onRetry: ({ code }) => waited.push(code) });
    const parallel = await Promise.all(Array.from({ length: 4 }, () => post(app, 'one')));
    for (const answer of parallel) {
      expect([answer.status, codeOf(answer)]).toEqual([409, 'JOB_IN_PROGRESS']);
    }
    const answer = await api(`http://127.0.0.1:${port}/jobs`, init);
    expect([(await first).status, waited]).toEqual([201, ['JOB_IN_PROGRESS']]);
    expect([answer.status, await answer.json()]).toMatchObject([200, { state: 'running' }]);
    expect(await used()).toEqual(ONE_JOB);
    await close();
  });

  it('makes one job of a creation whose answers are lost on the way', async () => {
    let handled = 0;
    const { app, clock, used } = jobApi(express, (limits) => [
      limits.admission(withKeys),
      json(),
      async (req, res) => {
        await limits.job(req).commit(() => void handled++);
        res.status(201).json({ id: limits.job(req).ref.id });
      },
    ]);
    const { port, close } = await listen(app);
    const proxy = await TcpProxy.start(port);
    let lost = 0;
    proxy.loses = () => lost < 2 && ++lost > 0;

    const sleep = async (ms: number): Promise<void> => clock.advance(ms);
    const api = retrying(fetch, { idempotency: true, jitter: 0, clock, sleep });
    const answer = await api(`http://127.0.0.1:${proxy.port}/jobs`, {
      method: 'POST',
      headers: { 'Content-Type': 'application/json' },
      body: '{"file":"a.mp4"}',
    });
    expect([answer.status, await answer.json()]).toEqual([
      200,
      { id: expect.stringMatching(/^[\w-]{22}$/) as string, state: 'running' },
    ]);
    expect([lost, handled]).toEqual([2, 1]);
    expect(await used()).toEqual(ONE_JOB);
    await proxy.stop();
    await close();
  });

  it('counts for creationRate and concurrency too, and for what comes behind them', async () => {
    const shared = { store: new MemoryStore(), customer: () => 'acme' };
    const alone = jsonErrors(
      express().post(
        '/jobs',
        creationRate({ ...shared, ...withKeys, limit: 1, window: '1m' }),
        concurrency({ ...shared, limit: 1, hold: 'job' }),
        (_req, res) => void res.status(201).end(),
      ),
    );
    await post(alone, 'one').expect(201);
    await post(alone, 'one').expect(200);
    await post(alone, 'two').expect(413);
  });

  it('that is wrong gives back what another middleware has charged, whatever the status of the answer', async () => {
    const { app, used } = jobApi(express, (limits) => [
      limits.admission(),
      creationRate({
        ...withKeys,
        store: new MemoryStore(),
        customer: () => 'other',
        limit: 1,
        window: '1m',
        responses: ({ code }) => ({ status: 200, headers: {}, body: code }),
      }),
      made(limits),
    ]);
    expect((await post(app, '"').expect(200)).text).toBe('IDEMPOTENCY_KEY_INVALID');
    expect(await used()).toEqual({ 'creation-rate': 0, concurrency: 0 });
  });

  it.each([{}, { idempotency: false }])('means nothing with %j', async (options) => {
    const { app, used } = api(options);
    for (const key of ['one', 'one', '"']) await post(app, key).expect(201);
    expect(await used()).toEqual({ 'creation-rate': 3, concurrency: 3 });
  });

  describe('with a fingerprint', () => {
    const fingerprint = (req: Request): string => JSON.stringify(req.body);
    const byBody = (options: AdmissionOptions = {}): JobApi =>
      jobApi(express, (limits) => [
        json(),
        limits.admission({ ...withKeys, fingerprint, ...options }),
        made(limits),
      ]);

    it('is answered 422 when it comes with another request, and charges nothing', async () => {
      const { app, used } = byBody();
      const first = await post(app, 'one').send({ file: 'a' }).expect(201);
      const other = await post(app, 'one').send({ file: 'b' }).expect(422);
      expect(other.body).toEqual({
        error: 'IDEMPOTENCY_KEY_REUSED',
        message: 'This Idempotency-Key was sent with another request',
        info: { id: idOf(first), state: 'running' },
      });
      expect(other.headers['retry-after']).toBeUndefined();
      await post(app, 'one').send({ file: 'a' }).expect(200);
      await post(app, 'two').send({ file: 'a' }).expect(201);
      expect(await used()).toEqual({ 'creation-rate': 2, concurrency: 2 });
    });

    it('is answered 422 as a problem too, and whatever onReplay says', async () => {
      const { app } = byBody({ responses: 'problem', onReplay: 'pass' });
      const first = await post(app, 'one').send({ file: 'a' }).expect(201);
      const other = await post(app, 'one').send({ file: 'b' }).expect(422);
      expect(other.headers['content-type']).toMatch(/^application\/problem\+json/);
      expect(other.body).toEqual({
        type: 'about:blank',
        title: 'This Idempotency-Key was sent with another request',
        status: 422,
        code: 'IDEMPOTENCY_KEY_REUSED',
        id: idOf(first),
        state: 'running',
      });
    });

    it('is answered 422 while the first request is open, and 409 with the same one', async () => {
      const open = deferred<Response>();
      const { app } = jobApi(express, ({ admission }) => [
        json(),
        admission({ ...withKeys, fingerprint }),
        (_req, res) => open.resolve(res),
      ]);
      const first = post(app, 'one')
        .send({ file: 'a' })
        .then(({ status }) => status);
      const res = await open.promise;
      await post(app, 'one').send({ file: 'b' }).expect(422);
      await post(app, 'one').send({ file: 'a' }).expect(409);
      res.status(201).end();
      expect(await first).toBe(201);
    });

    it('is free for another request once the job was refunded or has ended and is forgotten', async () => {
      let status = 400;
      const { app, clock, limits } = jobApi(express, ({ admission }) => [
        json(),
        admission({ ...withKeys, fingerprint }),
        (_req, res) => void res.status(status).end(),
      ]);
      await post(app, 'one').send({ file: 'wrong' }).expect(400);
      status = 201;
      await post(app, 'one').send({ file: 'right' }).expect(201);
      const [job] = (await limits.usageOf('acme')).running;
      await limits.finish({ customer: 'acme', id: job!.id }, { state: 'completed' });
      await post(app, 'one').send({ file: 'other' }).expect(422);
      clock.advance(24 * 3_600_000);
      await post(app, 'one').send({ file: 'other' }).expect(201);
    });

    it('is asked of requests with a key only', async () => {
      const asked: string[] = [];
      const { app } = byBody({ fingerprint: (req) => (asked.push(req.get('idempotency-key')!), 'same') });
      await request(app).post('/jobs').expect(201);
      await post(app, '"').expect(400);
      await post(app, 'one').expect(201);
      expect(asked).toEqual(['one']);
    });

    it('may be a promise, as of the fields before the first file of a form', async () => {
      const { app } = jobApi(express, (limits) => [
        limits.admission({
          ...withKeys,
          fingerprint: async (req) => JSON.stringify(await readFormPrefix(req)),
        }),
        limits.fileSize({ maxFile: '1mb' }),
        (req, res) => void res.status(201).json(req.body),
      ]);
      const upload = (params: string) =>
        post(app, 'one')
          .set('Content-Type', 'multipart/form-data; boundary=b')
          .send(
            formBody('b', [
              { name: 'params', value: params },
              { name: 'file', filename: 'a.bin', value: Buffer.alloc(100_000) },
            ]),
          );
      expect((await upload('x').expect(201)).body).toEqual({ params: 'x' });
      await upload('x').expect(200);
      await upload('y').expect(422);
    });

    it('that was not kept of the first request, or is asked of one only, makes a replay', async () => {
      const { app } = jobApi(express, (limits) => [
        json(),
        (req, res, next) => {
          const options = req.get('x-old') ? withKeys : { ...withKeys, fingerprint };
          return limits.admission(options)(req, res, next);
        },
        made(limits),
      ]);
      await post(app, 'one').set('x-old', 'yes').send({ file: 'a' }).expect(201);
      await post(app, 'one').send({ file: 'b' }).expect(200);
      await post(app, 'two').send({ file: 'a' }).expect(201);
      await post(app, 'two').set('x-old', 'yes').send({ file: 'b' }).expect(200);
    });

    it('that fails goes to the error handler, and charges nothing', async () => {
      const failures: Record<string, () => unknown> = {
        throws: () => {
          throw new TypeError('no');
        },
        rejects: () => Promise.reject(Object.assign(new Error('no'), { status: 415 })),
        own: () => Promise.reject(new RequestError('UPLOAD_TIMEOUT', 408, 'slow')),
        nothing: () => undefined,
        noBody: (): unknown => JSON.stringify(undefined),
        object: () => Promise.resolve({}),
      };
      const { app, used } = byBody({
        fingerprint: (req) => failures[req.get('x-failure')!]!() as string,
      });
      const answers: unknown[] = [];
      for (const failure of Object.keys(failures)) {
        const answer = await post(app, 'one').set('x-failure', failure);
        answers.push([failure, answer.status, (answer.body as { code: unknown }).code]);
      }
      expect(answers).toEqual([
        ['throws', 500, 'FINGERPRINT_FAILED'],
        ['rejects', 415, 'FINGERPRINT_FAILED'],
        ['own', 408, 'UPLOAD_TIMEOUT'],
        ['nothing', 400, 'FINGERPRINT_INVALID'],
        ['noBody', 400, 'FINGERPRINT_INVALID'],
        ['object', 400, 'FINGERPRINT_INVALID'],
      ]);
      expect(await used()).toEqual({ 'creation-rate': 0, concurrency: 0 });
    });
  });
});
