import request from 'supertest';
import { app, limits } from './snippets/body-limits.js';

afterAll(() => limits.close());

it('each customer has the limits of its plan, and a plan without them limits nothing', async () => {
  const urls = Array.from({ length: 101 }, (_, index) => `https://example.com/${index}`);
  const send = (customer: string) =>
    request(app).post('/jobs').set('authorization', `Bearer ${customer}`).send({ input: { urls } });
  const refused = await send('acme').expect(413);
  expect(refused.body).toMatchObject({ error: 'TOO_MANY_URLS', info: { allowed: 100, received: 101 } });
  await send('globex').expect(201);
});
