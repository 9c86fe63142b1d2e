import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { connect } from 'node:net';
import request from 'supertest';
import { jobLimits, type LimitsEvents } from '../../lib/index.js';
import { expressVersions } from '../support/apps.js';
import { until } from '../support/job-api.js';

const customer = () => 'acme';

describe.each(expressVersions)('limits.highFrequency() on %s', (_name, express) => {
  it('refuses before anything else, tells it, and reset() forgets', async () => {
    const limits = jobLimits({ customer });
    const refused: LimitsEvents['high-frequency'][] = [];
    limits.on('high-frequency', (event) => refused.push(event));
    const app = express();
    app.use(limits.highFrequency({ requests: { limit: 2 } }));
    app.get('/', (_req, res) => void res.end());
    const server = createServer(app).listen(0, '127.0.0.1');
    for (const status of [200, 200, 429]) await request(server).get('/').expect(status);
    const answer = await request(server).get('/').expect(429);
    expect(answer.body).toEqual({
      error: '429 Too Many Requests',
      message: 'HAProxy thinks you have sent too many requests in a given amount of time. ',
    });
    expect(Number(answer.headers['retry-after'])).toBeGreaterThanOrEqual(1);
    expect(refused.map(({ client }) => client)).toEqual(['127.0.0.1', '127.0.0.1']);
    expect(limits.guard.table()[0]).toMatchObject({ client: '127.0.0.1' });
    await limits.reset();
    await request(server).get('/').expect(200);
    server.close();
    await limits.close();
  });

  it('attach() before or after lets every guard see the connections', async () => {
    const limits = jobLimits({ customer });
    const app = express();
    const server = createServer(app);
    limits.attach(server);
    app.use(limits.highFrequency({ openConnections: { limit: 1 } }), (_req, res) => void res.end());
    await new Promise<void>((resolve) => server.listen(0, '127.0.0.1', resolve));
    const idle = connect((server.address() as AddressInfo).port, '127.0.0.1');
    await until(() => limits.guard.clients === 1);
    await request(server).get('/').expect(429);
    idle.destroy();
    await until(async () => (await request(server).get('/')).status === 200);
    server.close();
    await limits.close();
  });

  it('limits.guard without a guard says so', async () => {
    const limits = jobLimits({ customer });
    expect(() => limits.guard).toThrow(/NO_GUARD/);
    await limits.close();
  });
});
