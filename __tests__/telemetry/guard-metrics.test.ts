import request from 'supertest';
import { jobLimits, type HighFrequencyOptions, type TelemetryOptions } from '../../lib/index.js';
import { expressVersions } from '../support/apps.js';
import { collectMetrics } from '../support/metrics.js';

const [, express] = expressVersions[1]!;

function guarded(telemetry: TelemetryOptions, options: Partial<HighFrequencyOptions> = {}) {
  const limits = jobLimits({ customer: () => 'acme', telemetry });
  const app = express();
  const client = { client: (req: { get(name: string): string | undefined }) => req.get('x-client') };
  app.use(limits.highFrequency({ requests: { limit: 2 }, maxClients: 100, ...client, ...options }));
  app.get('/', (_req, res) => void res.end());
  const get = async (who: string) => (await request(app).get('/').set('x-client', who)).status;
  return { limits, get };
}

it('metrics of a guard count refusals by limit, bans, and what is in its table', async () => {
  const { meterProvider, series } = collectMetrics();
  const { limits, get } = guarded({ meterProvider }, { ban: { after: 2, window: '1m', for: '1m' } });
  expect([await get('a'), await get('a'), await get('b')]).toEqual([200, 200, 200]);
  expect(await series('guard')).toEqual({
    'guard.clients{}': 2,
    'guard.max_clients{}': 100,
    'guard.untracked{}': 0,
  });
  const banned = new Promise((resolve) => limits.on('ban', resolve));
  expect([await get('a'), await get('a')]).toEqual([429, 429]);
  await banned;
  expect(await get('a')).toBe(429);
  expect(await series('guard')).toMatchObject({
    'guard.refusals{limit=requests,mode=enforce}': 2,
    'guard.refusals{limit=ban,mode=enforce}': 1,
    'guard.bans{}': 1,
  });
  await limits.close();
});

it('metrics of a guard in shadow mode say so', async () => {
  const { meterProvider, series } = collectMetrics();
  const { limits, get } = guarded({ meterProvider }, { mode: 'shadow' });
  for (let i = 0; i < 3; i += 1) expect(await get('a')).toBe(200);
  expect(await series('guard')).toMatchObject({ 'guard.refusals{limit=requests,mode=shadow}': 1 });
  await limits.close();
});

it('the tables of all guards are added up, also those of several jobLimits()', async () => {
  const { meterProvider, series } = collectMetrics();
  const one = guarded({ meterProvider });
  const two = guarded({ meterProvider }, { maxClients: 50 });
  two.limits.highFrequency({ requests: { limit: 9 }, maxClients: 7 });
  await one.get('a');
  await two.get('a');
  await two.get('b');
  expect(await series('guard')).toMatchObject({ 'guard.clients{}': 3, 'guard.max_clients{}': 157 });
  await one.limits.close();
  expect(await series('guard')).toMatchObject({ 'guard.clients{}': 2, 'guard.max_clients{}': 57 });
  await two.limits.close();
});

it('without a guard there is nothing of guards', async () => {
  const { meterProvider, series } = collectMetrics();
  const limits = jobLimits({ customer: () => 'acme', telemetry: { meterProvider } });
  expect(await series()).toEqual({});
  await limits.close();
});
