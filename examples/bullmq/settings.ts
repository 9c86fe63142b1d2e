import { Redis } from 'ioredis';

/** What the server and its workers have to agree on. */
export const queueName = 'encode';
export const connection = { url: process.env.REDIS_URL || 'redis://127.0.0.1:6379' };

/**
 * How long a job keeps its slot when nobody has it. By the other times, a job whose worker died is given to another within
 * two thirds of it, so that it keeps its slot.
 */
export const heartbeatMs = wholeNumber('HEARTBEAT_MS', 90_000);
export const lockMs = Math.round(heartbeatMs / 3);
export const stalledCheckMs = Math.round(heartbeatMs / 3);
export const renewWaitingMs = Math.round(heartbeatMs / 6);

/** What a customer puts into a job. */
export interface Work {
  /** How many attempts fail. */
  failures: number;
}

/** Where the worker leaves a job's result. A real one is in a file or a bucket. */
export const resultKey = (jobId: string): string => `results:${jobId}`;

/** A connection for the limits and the results; BullMQ opens its own. */
export async function connect(): Promise<Redis> {
  const client = new Redis(connection.url, { lazyConnect: true, maxRetriesPerRequest: 1 });
  client.on('error', (error) => console.error(`Redis: ${error.message}`));
  try {
    await client.connect();
    return client;
  } catch {
    console.error('The example needs Redis: start a redis-server, or set REDIS_URL to where one is.');
    process.exit(1);
  }
}

export function wholeNumber(name: string, fallback: number): number {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (Number.isSafeInteger(value) && value >= 0) return value;
  console.error(`${name} must be a whole number, not '${text}'.`);
  process.exit(1);
}
