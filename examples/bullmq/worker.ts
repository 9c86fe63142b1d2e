import { setTimeout as delay } from 'node:timers/promises';
import { UnrecoverableError, Worker, type Job } from 'bullmq';
import { jobLifecycle, RedisStore } from 'express-job-limits';
import { bullJobId, followWorker } from 'express-job-limits/bullmq';
import {
  connect,
  connection,
  lockMs,
  queueName,
  resultKey,
  stalledCheckMs,
  wholeNumber,
  type Work,
} from './settings.js';

const jobMs = wholeNumber('JOB_MS', 5_000);

async function main(): Promise<void> {
  const redis = await connect();
  const lifecycle = jobLifecycle({ store: new RedisStore({ client: redis }) });

  const encode = async (job: Job<Work>, _token?: string, signal?: AbortSignal): Promise<void> => {
    console.log(`${job.id}: start ${job.attemptsStarted}`);
    await delay(jobMs, undefined, { signal: signal! }).catch(() => {
      // Any other error would be a reason to try again.
      throw new UnrecoverableError(String(signal?.reason));
    });
    if (job.attemptsMade < job.data.failures) throw new Error('as it was told to');
    await redis.set(resultKey(job.id!), JSON.stringify({ encodedAt: new Date() }));
  };
  const worker = new Worker<Work>(queueName, encode, {
    connection,
    concurrency: 10,
    lockDuration: lockMs,
    stalledInterval: stalledCheckMs,
  });
  worker.on('error', (error) => console.error(error.message));
  worker.on('completed', ({ id }) => console.log(`${id}: completed`));
  worker.on('failed', (job, error) => console.log(`${job?.id}: ${error.message}`));

  followWorker({ lifecycle, worker });
  // A job that was cancelled, or ran too long, ends here too.
  lifecycle.on('renew', ({ ref, answer }) => {
    if (['finished', 'refunded', 'overrun'].includes(answer)) worker.cancelJob(bullJobId(ref), answer);
  });

  await worker.waitUntilReady();
  console.log(`A worker takes jobs (pid ${process.pid}).`);
  for (const signal of ['SIGTERM', 'SIGINT'] as const) {
    process.once(signal, () => {
      console.log(`${signal}: finishing what runs.`);
      void worker.close().then(() => redis.disconnect());
    });
  }
}

void main();
