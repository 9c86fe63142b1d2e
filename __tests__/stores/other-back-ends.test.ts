import express from 'express';
import { Pool } from 'pg';
import { RateLimiterMemory, RateLimiterPostgres, type RateLimiterAbstract } from 'rate-limiter-flexible';
import request from 'supertest';
import { requestRate } from '../../lib/middleware/request-rate.js';

const POINTS = 3;
const pool = new Pool({
  host: '127.0.0.1',
  port: 5432,
  user: 'postgres',
  database: 'postgres',
  connectionTimeoutMillis: 2_000,
});
const tableName = `express_job_limits_test_${process.pid}`;

afterAll(() => pool.end());

/** Whether there is a PostgreSQL to ask. Without one its test is skipped, or fails where services are required. */
async function hasPostgres(): Promise<boolean> {
  try {
    await pool.query('SELECT 1');
    return true;
  } catch (error) {
    if (process.env['REQUIRE_SERVICES'] === '1') throw error;
    process.stderr.write(
      '\nSKIPPING A TEST: no PostgreSQL on 127.0.0.1:5432 for user postgres (apt-get install postgresql)\n',
    );
    return false;
  }
}

const postgresLimiter = (keyPrefix: string): Promise<RateLimiterPostgres> =>
  new Promise((resolve, reject) => {
    const limiter = new RateLimiterPostgres(
      {
        storeClient: pool,
        tableName,
        keyPrefix,
        points: POINTS,
        duration: 60,
        clearExpiredByTimeout: false,
        insuranceLimiter: new RateLimiterMemory({ points: POINTS, duration: 60 }),
      },
      (error?: Error) => (error ? reject(error) : resolve(limiter)),
    );
  });

/** The answers of an app with such a limiter to requests of one customer. */
async function statuses(limiter: RateLimiterAbstract, times: number, customer = 'acme'): Promise<number[]> {
  const app = express();
  app.use(requestRate({ customer: (req) => req.get('x-customer'), limiter }));
  app.get('/jobs', (_req, res) => void res.json([]));
  const answers: number[] = [];
  for (let i = 0; i < times; i += 1) {
    answers.push((await request(app).get('/jobs').set('x-customer', customer)).status);
  }
  return answers;
}

describe('requestRate on the other back ends of rate-limiter-flexible', () => {
  test('PostgreSQL: several processes share one count, and bans', async () => {
    if (!(await hasPostgres())) return;
    try {
      const [one, other] = [await postgresLimiter('reads'), await postgresLimiter('reads')];
      expect(await statuses(one, 2)).toEqual([200, 200]);
      expect(await statuses(other, 2)).toEqual([200, 429]);
      expect(await statuses(other, 1, 'globex')).toEqual([200]);
      await one.block('globex', 60);
      expect(await statuses(other, 1, 'globex')).toEqual([429]);
      await one.delete('globex');
      expect(await statuses(other, 1, 'globex')).toEqual([200]);
    } finally {
      await pool.query(`DROP TABLE IF EXISTS ${tableName}`);
    }
  });

  test('memory: one process alone', async () => {
    const limiter = new RateLimiterMemory({ points: POINTS, duration: 60 });
    expect(await statuses(limiter, 4)).toEqual([200, 200, 200, 429]);
  });
});
