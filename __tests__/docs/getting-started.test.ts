import request from 'supertest';
import * as events from './snippets/events.js';
import * as heartbeat from './snippets/heartbeat.js';
import * as idempotency from './snippets/idempotency.js';
import * as quickStart from './snippets/quick-start.js';
import * as shutdown from './snippets/shutdown.js';

afterAll(async () => {
  for (const { limits } of [events, heartbeat, idempotency, quickStart]) await limits.close();
});

const create = (app: Parameters<typeof request>[0]) =>
  request(app).post('/jobs').set('authorization', 'Bearer acme');

describe('the quick start', () => {
  const { app, limits, queue, worker } = quickStart;
  const running = async () => (await limits.usageOf('acme')).running.map(({ state }) => state);

  it('commits a job with its ref in the queue, and frees its slot when the worker is done', async () => {
    const answer = await create(app).expect(201);
    expect(queue.waiting).toMatchObject([{ data: { ref: { customer: 'acme' } } }]);
    expect(answer.body).toEqual({ id: queue.waiting[0]!.id });
    await expect(running()).resolves.toEqual(['running']);
    await worker.emit('completed');
    await expect(running()).resolves.toEqual([]);
  });

  it('charges nothing for a job that the queue did not take', async () => {
    const used = async () => (await limits.usageOf('acme')).limits.map((limit) => limit.used);
    const before = await used();
    queue.down = true;
    await create(app).expect(500);
    queue.down = false;
    await expect(used()).resolves.toEqual(before);
  });

  it('frees the slot of a job that failed', async () => {
    await create(app).expect(201);
    await worker.emit('failed');
    await expect(running()).resolves.toEqual([]);
  });

  it('asks for a customer', async () => {
    await request(app).post('/jobs').expect(401);
  });

  it('shows customers where they stand', async () => {
    const answer = await request(app).get('/limits').set('authorization', 'Bearer acme').expect(200);
    expect(answer.body).toMatchObject({
      plan: 'free',
      limits: [{ limit: 250 }, { limit: 250 }],
      running: [],
    });
  });
});

it('a heartbeat keeps the slot of a job that runs for longer than it', async () => {
  const { app, clock, limits, queue, run } = heartbeat;
  await create(app).expect(201);
  const answers: string[] = [];
  limits.on('renew', ({ answer }) => answers.push(answer));
  limits.on('finish', ({ answer }) => answers.push(answer));
  await run(queue.waiting.shift()!);
  expect(answers).toEqual(['renewed', 'renewed', 'renewed', 'renewed', 'finished']);

  await create(app).expect(201);
  clock.advance(90_000);
  expect((await limits.usageOf('acme')).running).toEqual([]);
  await expect(limits.renew(queue.waiting[0]!.data.ref)).resolves.toBe('reinstated');
});

it('an idempotency key makes one job of two requests', async () => {
  const { app, limits, queue } = idempotency;
  const first = await create(app).set('idempotency-key', 'k-1').expect(201);
  const { id } = first.body as { id: string };
  expect(queue.waiting[0]!.data.ref).toEqual({ customer: 'acme', id });
  const second = await create(app).set('idempotency-key', 'k-1').expect(200);
  expect(second.body).toEqual({ id, state: 'running' });
  await create(app).expect(201);
  expect(queue.waiting).toHaveLength(2);
  expect((await limits.usageOf('acme')).limits.map(({ used }) => used)).toEqual([2, 2]);
});

it('a fingerprint tells two requests with one idempotency key apart', async () => {
  const { byBody, byForm } = idempotency;
  const post = (app: Parameters<typeof request>[0], path: string, customer: string) =>
    request(app).post(path).set('authorization', `Bearer ${customer}`).set('idempotency-key', '"k-1"');
  await post(byBody, '/jobs', 'globex').send({ file: 'a.mp4' }).expect(201);
  await post(byBody, '/jobs', 'globex').send({ file: 'a.mp4' }).expect(200);
  await post(byBody, '/jobs', 'globex').send({ file: 'b.mp4' }).expect(422);

  const upload = (steps: string) =>
    post(byForm, '/uploads', 'initech').field('steps', steps).attach('file', Buffer.from('x'), 'a.txt');
  await upload('encode').expect(201);
  await upload('encode').expect(200);
  await upload('rotate').expect(422);
});

it('the listeners are told of refusals', async () => {
  const { app, lines } = events;
  await create(app).expect(201);
  await create(app).expect(413);
  expect(lines).toEqual([['refused', 'acme', 'RATE_LIMIT_REACHED', 'creation-rate']]);
});

it('shutting down waits for what is under way', async () => {
  const { limits, server, shutDown } = shutdown;
  const answers: string[] = [];
  limits.on('commit', ({ answer }) => answers.push(answer));
  await request(server).post('/jobs').set('authorization', 'Bearer acme').expect(201);
  await shutDown();
  expect(answers).toEqual(['committed']);
});
