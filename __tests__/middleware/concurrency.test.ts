import { request as httpRequest } from 'node:http';
import type { Response } from 'express';
import request from 'supertest';
import { concurrency, creationRate, ManualClock, MemoryStore } from '../../lib/index.js';
import { deferred, expressVersions } from '../support/apps.js';
import { listen, until } from '../support/job-api.js';

describe.each(expressVersions)("concurrency({ hold: 'request' }) on %s", (_name, express) => {
  function api(limit = 1) {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const open: Response[] = [];
    let next = deferred();
    const options = { clock, store, customer: () => 'acme' };
    const app = express();
    app.post('/jobs', concurrency({ ...options, limit, hold: 'request' }), (_req, res) => {
      open.push(res);
      next.resolve();
      next = deferred();
    });
    const running = async () => (await store.usage('acme', [])).running.length;
    return { app, clock, store, open, running, opened: () => next.promise };
  }

  it('frees the slot when the app has answered, with any status, and remembers nothing', async () => {
    const { app, open, opened, running, store } = api();
    for (const status of [200, 500]) {
      const began = opened();
      const answer = request(app)
        .post('/jobs')
        .then((answered) => answered.status);
      await began;
      await request(app).post('/jobs').expect(413);
      const [job] = (await store.usage('acme', [])).running;
      open.pop()!.status(status).end();
      expect(await answer).toBe(status);
      expect(await running()).toBe(0);
      expect(await store.job(job!.ref)).toBeUndefined();
    }
  });

  it('does not free it when the client goes away, but when the app answers or after 30 seconds', async () => {
    const { app, clock, open, opened, running } = api();
    const { port, close } = await listen(app);
    const connectAndAbort = async (): Promise<void> => {
      const began = opened();
      const client = httpRequest({ port, host: '127.0.0.1', method: 'POST', path: '/jobs' });
      client.on('error', () => undefined);
      client.end();
      await began;
      const closed = new Promise((resolve) => open.at(-1)!.once('close', resolve));
      client.destroy();
      await closed;
    };
    await connectAndAbort();
    expect(await running()).toBe(1);
    await request(`http://127.0.0.1:${port}`).post('/jobs').expect(413);
    open.pop()!.status(200).end();
    await until(async () => (await running()) === 0);

    await connectAndAbort();
    clock.advance(29_000);
    expect(await running()).toBe(1);
    clock.advance(1_000);
    await until(async () => (await running()) === 0);
    await close();
  });

  it('keeps the slot of a request that takes long', async () => {
    const { app, clock, open, opened, running } = api();
    const began = opened();
    const answer = request(app)
      .post('/jobs')
      .then(({ status }) => status);
    await began;
    for (let i = 0; i < 30; i += 1) {
      clock.advance(20_000);
      await new Promise((resolve) => setImmediate(resolve));
    }
    expect(await running()).toBe(1);
    open.pop()!.end();
    expect(await answer).toBe(200);
    expect(await running()).toBe(0);
  });

  it('beside a creation rate: the rate stays charged when the request succeeds, and comes back when it fails', async () => {
    const clock = new ManualClock();
    const store = new MemoryStore({ clock });
    const options = { clock, store, customer: () => 'acme' };
    const app = express();
    app.post(
      '/jobs',
      creationRate({ ...options, limit: 5, window: '1m' }),
      concurrency({ ...options, limit: 5, hold: 'request' }),
      (req, res) => void res.status(Number(req.get('x-status'))).end(),
    );
    const usedRate = async () =>
      (
        await store.usage('acme', [
          { kind: 'creation-rate', name: 'creation-rate', limit: 5, windowMs: 60_000, mode: 'enforce' },
        ])
      ).limits[0]!.used;
    await request(app).post('/jobs').set('x-status', '200').expect(200);
    expect(await usedRate()).toBe(1);
    await request(app).post('/jobs').set('x-status', '500').expect(500);
    expect(await usedRate()).toBe(1);
    expect((await store.usage('acme', [])).running).toEqual([]);
  });
});
