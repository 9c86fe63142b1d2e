import { spawned, type Spawned } from '../support/spawned.js';

// A process of its own takes seconds on a busy machine.
jest.setTimeout(30_000);

let server: Spawned;
let api: string;
let scraped: string;

beforeAll(async () => {
  server = spawned(process.execPath, ['--import', 'tsx', 'examples/prometheus/server.ts'], {
    PORT: '0',
    METRICS_PORT: '0',
  });
  [, api] = (await server.printed(/^API: (\S+)$/m)) as unknown as [string, string];
  [, scraped] = (await server.printed(/^Metrics: (\S+)$/m)) as unknown as [string, string];
});

afterAll(() => server.stop());

async function call(method: string, path: string, customer: string): Promise<Response> {
  return fetch(`${api}${path}`, { method, headers: { Authorization: `Bearer ${customer}` } });
}

/** What Prometheus reads: every sample by its name and labels, without the scope's. */
async function scrape(): Promise<{ text: string; samples: Record<string, number> }> {
  const answer = await fetch(`${scraped}/metrics`);
  expect(answer.status).toBe(200);
  const text = await answer.text();
  const samples = [...text.matchAll(/^(job_limits_\w+)\{(.*)\} (\S+)$/gm)].map(([, name, labels, value]) => {
    const own = labels!.split(',').filter((label) => !label.startsWith('otel_scope_'));
    return [own.length === 0 ? name! : `${name}{${own.join(',')}}`, Number(value)] as const;
  });
  return { text, samples: Object.fromEntries(samples) };
}

it('shows in a scrape what was allowed, refused and would be, and no customer', async () => {
  const ids: string[] = [];
  for (const status of [201, 201, 201, 201, 413, 413]) {
    const answer = await call('POST', '/jobs', 'acme-7');
    expect(answer.status).toBe(status);
    if (status === 201) ids.push(((await answer.json()) as { id: string }).id);
  }
  expect((await call('POST', '/jobs', 'pro-globex')).status).toBe(201);
  expect((await call('DELETE', `/jobs/${ids[0]}`, 'acme-7')).status).toBe(204);
  expect((await call('DELETE', `/jobs/${ids[0]}`, 'acme-7')).status).toBe(404);
  expect((await call('POST', '/jobs', 'acme-7')).status).toBe(201);
  expect((await call('POST', '/jobs', 'acme-7')).status).toBe(413);

  const { text, samples } = await scrape();
  expect(samples).toEqual({
    'job_limits_decisions_total{outcome="allowed",plan="free"}': 5,
    'job_limits_decisions_total{outcome="allowed",plan="pro"}': 1,
    'job_limits_decisions_total{outcome="refused",limit="concurrency",plan="free"}': 2,
    'job_limits_decisions_total{outcome="refused",limit="creation-rate",plan="free"}': 1,
    'job_limits_shadow_refusals_total{limit="creation-rate-next",plan="free"}': 5,
    job_limits_running: 5,
    'job_limits_job_events_total{event="admit"}': 6,
    'job_limits_job_events_total{event="commit",answer="committed"}': 6,
    'job_limits_job_events_total{event="finish",answer="finished",state="cancelled"}': 1,
    'job_limits_job_events_total{event="finish",answer="already",state="cancelled"}': 1,
    job_limits_guard_clients: 1,
    job_limits_guard_max_clients: 100_000,
    job_limits_guard_untracked_total: 0,
  });
  for (const secret of ['acme', 'globex', '127.0.0.1', ...ids]) expect(text).not.toContain(secret);
});

it('ends when it is told to', async () => {
  server.process.kill('SIGTERM');
  expect(await server.ended()).toBe(0);
});
