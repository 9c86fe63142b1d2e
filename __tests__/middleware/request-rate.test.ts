import request from 'supertest';
import { RateLimiterMemory } from 'rate-limiter-flexible';
import { jobLimits, requestRate, type LimitsEvents } from '../../lib/index.js';
import { expressVersions } from '../support/apps.js';

const customer = (req: { get(name: string): string | undefined }) => req.get('x-customer') ?? 'acme';

describe.each(expressVersions)('requestRate on %s', (_name, express) => {
  it('refuses the request after the last with 429 and tells when the window ends', async () => {
    const app = express();
    app.use(
      requestRate({ customer, limit: 2, window: '1m', name: 'own-name' }),
      (_req, res) => void res.end(),
    );
    const first = await request(app).get('/').expect(200);
    expect(first.headers['ratelimit-policy']).toBe('"own-name";q=2;w=60');
    expect(first.headers['ratelimit']).toMatch(/^"own-name";r=1;t=(60|59)$/);
    await request(app).get('/').expect(200);
    const refused = await request(app).get('/').expect(429);
    const { error, message, info } = refused.body as {
      error: string;
      message: string;
      info: { retryIn: number; limit: string };
    };
    expect([error, message, info.limit]).toEqual(['RATE_LIMIT_REACHED', 'Request limit reached', 'own-name']);
    expect(info.retryIn).toBeGreaterThanOrEqual(59);
    expect(refused.headers['retry-after']).toBe(String(info.retryIn));
    await request(app).get('/').set('x-customer', 'globex').expect(200);
  });

  it("takes the plan's numbers, and none where the plan has none", async () => {
    const limits = jobLimits({
      customer,
      plans: { free: { requestRate: { limit: 1, window: '1m' } }, pro: {} },
      plan: (who) => (who === 'globex' ? 'pro' : 'free'),
    });
    const app = express();
    app.get('/', limits.requestRate(), (_req, res) => void res.end());
    await request(app).get('/').expect(200);
    await request(app).get('/').expect(429);
    for (let i = 0; i < 3; i += 1) await request(app).get('/').set('x-customer', 'globex').expect(200);
    await limits.reset();
    await request(app).get('/').expect(200);
    await limits.close();
  });

  it('counts on any limiter of rate-limiter-flexible, and beside an admission', async () => {
    const limiter = new RateLimiterMemory({ points: 3, duration: 10 });
    const limits = jobLimits({ customer, plans: { free: { creationRate: { limit: 9, window: '1m' } } } });
    const app = express();
    app.post(
      '/',
      limits.requestRate({ limiter }),
      limits.admission(),
      (_req, res) => void res.status(201).end(),
    );
    const answer = await request(app).post('/').expect(201);
    expect(answer.headers['ratelimit-policy']).toBe('"request-rate";q=3;w=10, "creation-rate";q=9;w=60');
    expect((await limiter.get('acme'))?.consumedPoints).toBe(1);
    await limits.close();
  });

  it('a limiter that fails is answered 503 and told', async () => {
    const limiter = new RateLimiterMemory({ points: 3, duration: 10 });
    limiter.consume = () => Promise.reject(new Error('connection lost'));
    const limits = jobLimits({ customer });
    const errors: LimitsEvents['store-error'][] = [];
    limits.on('store-error', (event) => errors.push(event));
    const app = express();
    app.get(
      '/',
      limits.requestRate({ limiter, skip: (req) => req.query['free'] === '1' }),
      (_req, res) => void res.end(),
    );
    const answer = await request(app).get('/').expect(503);
    expect(answer.body).toMatchObject({ error: 'STORE_UNAVAILABLE' });
    expect(errors.map(({ operation }) => operation)).toEqual(['requestRate']);
    await request(app).get('/?free=1').expect(200);
    await limits.close();
  });
});
