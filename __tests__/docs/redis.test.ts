import { execFileSync } from 'node:child_process';
import express from 'express';
import { Pool } from 'pg';
import request from 'supertest';
import { RedisServer } from '../support/redis-server.js';
import { describeWithRedis } from '../support/with-redis.js';
import * as snippets from './snippets/redis.js';

describeWithRedis('docs/stores/redis.md and failover.md', () => {
  let server: RedisServer;
  beforeAll(async () => {
    server = await RedisServer.start();
  });
  afterAll(() => server.stop());

  test('limits on Redis, and a worker that knows the store alone', async () => {
    const { client, store, limits } = snippets.onRedis(`redis://127.0.0.1:${server.port}`);
    const refs: { customer: string; id: string }[] = [];
    const app = express();
    app.post('/jobs', limits.admission(), (req, res) => {
      refs.push(limits.job(req).ref);
      res.status(201).end();
    });
    await request(app).post('/jobs').set('x-account', 'acme').expect(201);
    await snippets.worker(store, refs[0]!);
    expect((await store.job(refs[0]!))?.state).toBe('completed');
    await limits.close();
    client.disconnect();
  });

  test('a failover in front of it', async () => {
    const { client, store: redis } = snippets.onRedis(`redis://127.0.0.1:${server.port}`);
    const store = snippets.withFailover(client);
    const terms = { limits: [], pendingMs: 1_000, rememberMs: 1_000 };
    await store.admit({ ref: { customer: 'globex', id: 'one' }, run: 'one', terms });
    expect((await redis.job({ customer: 'globex', id: 'one' }))?.state).toBe('pending');
    await store.close();
    client.disconnect();
  });
});

test('request rates on PostgreSQL', async () => {
  try {
    execFileSync('pg_isready', ['-h', '127.0.0.1'], { stdio: 'ignore' });
  } catch (error) {
    if (process.env['REQUIRE_SERVICES'] === '1') throw error;
    process.stderr.write('\nSKIPPING A TEST: no PostgreSQL on 127.0.0.1:5432 (apt-get install postgresql)\n');
    return;
  }
  const pool = new Pool({ host: '127.0.0.1', user: 'postgres', database: 'postgres' });
  const tableName = `express_job_limits_docs_${process.pid}`;
  const app = express();
  const limiter = await new Promise<ReturnType<typeof snippets.onPostgres>>((resolve, reject) => {
    const made = snippets.onPostgres(app, pool, tableName, (error) =>
      error ? reject(error) : resolve(made),
    );
  });
  app.get('/', (_req, res) => void res.end());
  await request(app).get('/').set('x-account', 'acme').expect(200);
  expect((await limiter.get('acme'))?.consumedPoints).toBe(1);
  await snippets.ban(limiter);
  await pool.query(`DROP TABLE ${tableName}`);
  await pool.end();
});
