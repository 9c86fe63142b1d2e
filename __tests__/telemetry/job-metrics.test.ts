import request from 'supertest';
import {
  jobLimits,
  type AdmittedJob,
  type JobLimitsOptions,
  type TelemetryOptions,
} from '../../lib/index.js';
import { deferred, expressVersions } from '../support/apps.js';
import { created, jobApi, listen, until, type JobApi } from '../support/job-api.js';
import { collectMetrics, type Metrics } from '../support/metrics.js';

describe.each(expressVersions)('metrics of jobs, on %s', (_name, express) => {
  let metrics: Metrics;
  let telemetry: TelemetryOptions;
  let api: JobApi;

  function make(handlers: Parameters<typeof jobApi>[1], options: Partial<JobLimitsOptions> = {}): void {
    metrics = collectMetrics();
    telemetry = { meterProvider: metrics.meterProvider };
    api = jobApi(express, handlers, { telemetry, ...options });
  }

  afterEach(async () => {
    await api.limits.close();
    await api.store.close();
  });

  /** Creates jobs with these ids, and gives the statuses of the answers. */
  async function create(...ids: string[]): Promise<number[]> {
    const statuses: number[] = [];
    for (const id of ids) statuses.push((await request(api.app).post('/jobs').set('x-id', id)).status);
    return statuses;
  }

  const jobId = (req: { get(name: string): string | undefined }) => req.get('x-id')!;
  const ref = (id: string) => ({ customer: 'acme', id });
  const running = async () => (await metrics.series('running'))['running{}'] ?? 0;

  it('count decisions by outcome, limit and plan', async () => {
    make((limits) => [limits.admission({ jobId }), created]);
    expect(await create('a', 'b', 'c', 'a', 'd')).toEqual([201, 201, 201, 409, 413]);
    for (const id of ['a', 'b']) await api.limits.finish(ref(id), { state: 'completed' });
    expect(await create('e', 'f', 'g')).toEqual([201, 201, 413]);
    expect(await metrics.series('decisions')).toEqual({
      'decisions{outcome=allowed,plan=free}': 5,
      'decisions{outcome=replayed,plan=free}': 1,
      'decisions{outcome=refused,limit=concurrency,plan=free}': 1,
      'decisions{outcome=refused,limit=creation-rate,plan=free}': 1,
    });
  });

  it('count what each limit in shadow mode would have refused', async () => {
    const rate = { window: '1m', mode: 'shadow' } as const;
    const creationRate = [
      { ...rate, limit: 1, name: 'strict' },
      { ...rate, limit: 2, name: 'loose' },
    ];
    make((limits) => [limits.admission(), created], {
      plans: { trial: { creationRate, concurrency: { limit: 3 } } },
    });
    const shadow: boolean[] = [];
    api.limits.on('decision', (event) => shadow.push(event.shadow));
    expect(await create('a', 'b', 'c', 'd')).toEqual([201, 201, 201, 413]);
    expect(shadow).toEqual([false, true, true, true]);
    expect(await metrics.series('decisions')).toEqual({
      'decisions{outcome=allowed,plan=trial}': 3,
      'decisions{outcome=refused,limit=concurrency,plan=trial}': 1,
    });
    expect(await metrics.series('shadow_refusals')).toEqual({
      'shadow_refusals{limit=strict,plan=trial}': 3,
      'shadow_refusals{limit=loose,plan=trial}': 2,
    });
  });

  it('count what a request rate in shadow mode would have refused, and plans that could not be looked up', async () => {
    let down = false;
    make((limits) => [limits.requestRate(), limits.admission(), created], {
      plans: { free: { requestRate: { limit: 1, window: '1m' } } },
      plan: () => (down ? Promise.reject(new Error('at acme')) : 'free'),
    });
    await api.limits.override('acme', { mode: 'shadow' });
    expect(await create('a', 'b')).toEqual([201, 201]);
    expect(await metrics.series('shadow_refusals')).toEqual({ 'shadow_refusals{limit=request-rate}': 1 });
    down = true;
    api.clock.advance(61_000);
    expect(await create('c')).toEqual([201]);
    expect(await metrics.series('plan')).toEqual({ 'plan.stale{}': 1 });
  });

  it('name plans that have no name alike, and limits that belong to none', async () => {
    make(
      (limits) => [limits.admission(), limits.creationRate({ limit: 1, window: '1m', name: 'own' }), created],
      { plans: { free: {} }, plan: () => ({ concurrency: { limit: 9 } }) },
    );
    expect(await create('a', 'b')).toEqual([201, 413]);
    expect(await metrics.series('decisions')).toEqual({
      'decisions{outcome=allowed,plan=(unnamed)}': 3,
      'decisions{outcome=refused,limit=own,plan=(unnamed)}': 1,
    });
  });

  it('count jobs as running from admission to finish, whichever process calls it', async () => {
    make((limits) => [limits.admission({ jobId }), created]);
    expect(await create('a', 'b', 'b', 'c', 'd')).toEqual([201, 201, 409, 201, 413]);
    expect(await running()).toBe(3);
    const worker = jobLimits({ store: api.store, customer: () => undefined, telemetry });
    await worker.finish(ref('a'), { state: 'failed' });
    await worker.finish(ref('a'), { state: 'failed' });
    await worker.finish(ref('z'), { state: 'completed' });
    await worker.renew(ref('b'));
    await worker.close();
    expect(await running()).toBe(2);
    expect(await metrics.series('job.events')).toEqual({
      'job.events{event=admit}': 3,
      'job.events{event=commit,answer=committed}': 3,
      'job.events{event=finish,answer=finished,state=failed}': 1,
      'job.events{event=finish,answer=already,state=failed}': 1,
      'job.events{event=finish,answer=unknown,state=completed}': 1,
      'job.events{event=renew,answer=renewed}': 1,
    });
  });

  it('count no job that was refunded as running', async () => {
    make((limits) => [limits.admission(), (_req, res) => void res.status(500).end()]);
    expect(await create('a')).toEqual([500]);
    expect(await running()).toBe(0);
    expect(await metrics.series('job.events')).toEqual({
      'job.events{event=admit}': 1,
      'job.events{event=refund,answer=refunded}': 1,
    });
  });

  it('count a job once, however many middlewares add limits to it', async () => {
    make((limits) => [
      limits.creationRate({ limit: 9, window: '1s', name: 'burst' }),
      limits.concurrency({ limit: 9, hold: 'job', name: 'own' }),
      limits.admission(),
      created,
    ]);
    const joined: boolean[] = [];
    api.limits.on('decision', (event) => joined.push(event.joined));
    expect(await create('a')).toEqual([201]);
    expect(joined).toEqual([false, true, true]);
    expect(await metrics.series('job.events')).toMatchObject({ 'job.events{event=admit}': 1 });
    expect(await running()).toBe(1);
  });

  it('count a request that holds a slot until it is answered', async () => {
    const { promise, resolve } = deferred();
    make((limits) => [
      limits.concurrency({ limit: 9, hold: 'request' }),
      (_req, res) => void promise.then(() => res.end()),
    ]);
    const answer = create('a');
    await until(async () => (await running()) === 1);
    resolve();
    expect(await answer).toEqual([200]);
    await until(async () => (await running()) === 0);
  });

  it('count a job that lapsed no more, and again once it is committed all the same', async () => {
    const { promise, resolve } = deferred<AdmittedJob>();
    make((limits) => [limits.admission(), (req) => resolve(limits.job(req))]);
    const { port, close } = await listen(api.app);
    const lost = expect(fetch(`http://127.0.0.1:${port}/jobs`, { method: 'POST' })).rejects.toThrow();
    const job = await promise;
    expect(await running()).toBe(1);
    await close();
    await lost;
    api.clock.advance(120_000);
    await until(async () => (await api.limits.usageOf('acme')).running.length === 0);
    expect(await running()).toBe(0);
    expect(await metrics.series('job.events')).toMatchObject({ 'job.events{event=lapsed}': 1 });
    await job.commit();
    expect(await running()).toBe(1);
  });

  it('follow what the host says when it reconciles', async () => {
    make((limits) => [limits.admission({ jobId }), created]);
    await create('a', 'b');
    api.clock.advance(61_000);
    const told: unknown[] = [];
    api.limits.on('reconcile', (event) => told.push(event));
    await api.limits.reconcile('acme', ['b', 'c', 'd']);
    expect(told).toEqual([{ customer: 'acme', finished: ['a'], restored: ['c', 'd'] }]);
    expect(await running()).toBe(3);
  });

  it('name no customer, job, client or key', async () => {
    make((limits) => [
      limits.highFrequency({ requests: { limit: 4 }, client: () => 'client-7' }),
      limits.admission({ jobId }),
      limits.concurrency({ limit: 2, hold: 'job', name: 'by-model', key: () => 'model-7' }),
      created,
    ]);
    expect(await create('job-1', 'job-2', 'job-3', 'job-1', 'job-4')).toEqual([201, 201, 413, 409, 429]);
    await api.limits.finish(ref('job-1'), { state: 'completed' });
    const text = JSON.stringify(await metrics.collect());
    expect(text).toContain('by-model');
    expect(text).not.toMatch(/acme|job-\d|client-7|model-7|127\.0\.0\.1/);
  });
});
