import express from 'express';

// #region test
import request from 'supertest';
import { jobLimits, ManualClock, type JobLimits } from 'express-job-limits';

function makeApp(limits: JobLimits) {
  const app = express();
  app.post('/jobs', limits.admission(), (_req, res) => {
    res.status(201).end();
  });
  return app;
}

it('refuses the third job of a minute', async () => {
  const clock = new ManualClock();
  const limits = jobLimits({
    clock,
    customer: () => 'acme',
    plans: { free: { creationRate: { limit: 2, window: '1m' } } },
  });
  const app = makeApp(limits);

  await request(app).post('/jobs').expect(201);
  await request(app).post('/jobs').expect(201);
  await request(app).post('/jobs').expect(413).expect('Retry-After', '60');

  clock.advance(60_000);
  await request(app).post('/jobs').expect(201);

  await limits.close();
});
// #endregion
