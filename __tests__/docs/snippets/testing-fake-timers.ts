import express from 'express';
import request from 'supertest';
import { jobLimits } from 'express-job-limits';

// #region test
const limits = jobLimits({
  customer: () => 'acme',
  plans: { free: { creationRate: { limit: 1, window: '1m' }, requestRate: { limit: 1, window: '10s' } } },
});
const app = express();
app.use(limits.requestRate());
app.post('/jobs', limits.admission(), (_req, res) => {
  res.status(201).end();
});

beforeEach(() => jest.useFakeTimers());
afterEach(async () => {
  await limits.reset(); // forgets all jobs, counters and overrides
  jest.useRealTimers();
});
afterAll(() => limits.close());

it('allows another job a minute later', async () => {
  await request(app).post('/jobs').expect(201);
  jest.advanceTimersByTime(10_000);
  await request(app).post('/jobs').expect(413); // the creation rate
  jest.advanceTimersByTime(50_000);
  await request(app).post('/jobs').expect(201);
});

it('starts each test with nothing counted', async () => {
  await request(app).post('/jobs').expect(201);
});
// #endregion
