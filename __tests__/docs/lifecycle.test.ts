import request from 'supertest';
import type { JobRef } from '../../lib/index.js';
import { DAY, keptTerms } from '../../lib/testing/contract/kept-jobs.js';
import { HOUR } from '../../lib/testing/harness.js';
import * as retention from './snippets/job-retention.js';
import * as lifecycle from './snippets/lifecycle.js';

afterAll(async () => {
  await retention.limits.close();
  await lifecycle.jobs.close();
});

describe('docs/reference/job-retention.md', () => {
  const { app, bucket, clock, database, sweeper, worker } = retention;
  const get = (path: string) => request(app).get(path).set('authorization', 'Bearer acme');

  it('keeps results and metadata for as long as the plan says', async () => {
    const created = await request(app).post('/jobs').set('authorization', 'Bearer acme').expect(201);
    const { id } = created.body as { id: string };
    await worker.emit('completed');
    const token = Buffer.from(JSON.stringify({ customer: 'acme', id })).toString('base64url');
    const statuses = async () =>
      Promise.all(
        [`/jobs/${id}`, `/jobs/${id}/results`, `/downloads/${token}`].map(
          async (path) => (await get(path)).status,
        ),
      );
    expect((await get(`/jobs/${id}/results`)).text).toBe('the results');
    expect(await statuses()).toEqual([200, 200, 200]);
    clock.advance(DAY);
    expect(await statuses()).toEqual([200, 410, 410]);
    await sweeper.turn();
    expect([bucket.size, database.size]).toEqual([0, 1]);
    clock.advance(89 * DAY);
    expect(await statuses()).toEqual([410, 410, 410]);
    await sweeper.turn();
    expect(database.size).toBe(0);
    expect((await request(app).get(`/downloads/${token}`)).status).toBe(404);
  });
});

describe('docs/reference/lifecycle.md', () => {
  const { clock, jobs, lines, queue, storage, store, sweeper, worker } = lifecycle;
  const terms = keptTerms({ noticeMs: HOUR / 2 });

  async function queued(): Promise<JobRef> {
    const { data } = await queue.add('encode', { ref: { customer: 'acme', id: `job-${Math.random()}` } });
    await store.admit({ ref: data.ref, run: data.ref.id, terms });
    await store.commit(data.ref, data.ref.id);
    return data.ref;
  }
  const finished = async (): Promise<JobRef> => {
    const ref = await queued();
    await worker.emit('completed');
    return ref;
  };

  it('ends jobs in a worker', async () => {
    const [completed, failed] = [await finished(), await queued()];
    await worker.emit('failed');
    expect([(await jobs.jobs.get(completed))?.state, (await jobs.jobs.get(failed))?.state]).toEqual([
      'completed',
      'failed',
    ]);
  });

  it('renews a job while it runs, and says what it used', async () => {
    const told: unknown[] = [];
    jobs.on('finish', (event) => told.push(event));
    const ref = await queued();
    await lifecycle.run(queue.waiting.shift()!);
    expect(told).toEqual([{ ref, answer: 'finished', state: 'completed' }]);
  });

  it('keeps what it is told to for longer', async () => {
    const ref = await queued();
    queue.waiting.shift();
    await lifecycle.finishArchived(ref);
    const job = (await jobs.jobs.get(ref))!;
    expect(job.resultsExpireAt! - job.finishedAt!).toBe(10 * 365.25 * DAY);
  });

  it('lists, holds, extends and expires', async () => {
    const ref = await finished();
    const expiry = (await jobs.jobs.get(ref))!.resultsExpireAt!;
    expect(await lifecycle.jobsOf('acme')).toContain(`${ref.id}: completed`);
    expect(await lifecycle.legalHold(ref)).toBe(true);
    expect((await jobs.jobs.get(ref))?.pinned).toBe('case 2026-117');
    await lifecycle.release(ref);
    await lifecycle.keepForAnotherWeek((await jobs.jobs.get(ref))!);
    expect((await jobs.jobs.get(ref))!.resultsExpireAt).toBe(expiry + 7 * DAY);
    await lifecycle.deleteOnRequest(ref);
    expect(await lifecycle.legalHold(ref)).toBe(false);
    await sweeper.turn();
    await sweeper.turn();
    expect(storage.deleted).toContain(`results/acme/${ref.id}`);
  });

  it('tells what happens, and stops', async () => {
    const ref = await finished();
    const running = await queued();
    lines.length = 0;
    clock.advance(HOUR / 2);
    await sweeper.turn();
    expect(lines).toContainEqual(['will be gone soon', ref]);
    storage.fails = true;
    for (let tries = 0; tries < 10; tries += 1) {
      clock.advance(8 * HOUR);
      await sweeper.turn();
    }
    expect(lines).toContainEqual(['given up', ref, new Error('no such bucket')]);
    expect(lifecycle.stopped).toEqual([running]);
    await lifecycle.shutDown();
    storage.fails = false;
    expect(await jobs.expireNow(ref)).toBe('already');
    expect(await sweeper.turn()).toMatchObject({ claimed: 0 });
    for (let hours = 0; hours < 26; hours += 1) clock.advance(HOUR);
  });
});
