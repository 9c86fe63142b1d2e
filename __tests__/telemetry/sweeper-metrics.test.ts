import request from 'supertest';
import { jobLifecycle, type JobRef } from '../../lib/index.js';
import { expressVersions } from '../support/apps.js';
import { created, jobApi } from '../support/job-api.js';
import { collectMetrics } from '../support/metrics.js';

const HOUR = 3_600_000;

it('a worker’s metrics show what its sweeper did, how late, and what it gave up', async () => {
  const { meterProvider, series } = collectMetrics();
  const telemetry = { meterProvider };
  const api = jobApi(expressVersions[1]![1], (limits) => [limits.admission(), created], {
    telemetry,
    plans: {
      free: { concurrency: { limit: 2, maxRun: '1h' }, jobRetention: { results: '1h', metadata: '10h' } },
    },
  });
  const refs: JobRef[] = [];
  api.limits.on('commit', ({ ref }) => refs.push(ref));
  for (let i = 0; i < 2; i += 1) await request(api.app).post('/jobs').expect(201);

  const worker = jobLifecycle({ store: api.store, clock: api.clock, telemetry });
  await worker.finish(refs[0]!, { state: 'completed' });
  await worker.pin(refs[0]!, 'asked for');
  let fails = true;
  const sweeper = worker.sweep({
    everyMs: '24h',
    mostTries: 2,
    onExpire() {
      if (fails) throw new Error('the bucket is away');
    },
  });
  await sweeper.turn();
  expect(await series('running')).toEqual({ 'running{}': 1 });
  expect(await series('sweeper')).toEqual({ 'sweeper.lag{}': 1, 'sweeper.tasks{outcome=done}': 0 });

  api.clock.advance(HOUR);
  await sweeper.turn();
  expect(await series('running')).toEqual({ 'running{}': 0 });
  expect(await series('job.events')).toMatchObject({
    'job.events{event=pin,answer=pinned}': 1,
    'job.events{event=finish,answer=finished,state=completed}': 1,
    'job.events{event=finish,answer=finished,state=overrun}': 1,
  });
  expect(await series('sweeper.tasks')).toEqual({ 'sweeper.tasks{outcome=done}': 1 });

  for (const retryAfterMs of [HOUR, 10_000]) {
    api.clock.advance(retryAfterMs);
    await sweeper.turn();
  }
  expect(await series('sweeper.tasks')).toEqual({
    'sweeper.tasks{outcome=done}': 1,
    'sweeper.tasks{outcome=failed}': 1,
    'sweeper.tasks{outcome=given-up}': 1,
  });
  fails = false;
  await worker.unpin(refs[0]!);
  await sweeper.turn();
  expect(await series('sweeper')).toMatchObject({ 'sweeper.lag{}': 5, 'sweeper.tasks{outcome=done}': 2 });
  await worker.close();
  await api.limits.close();
  await api.store.close();
});
