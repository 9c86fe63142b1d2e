import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join, relative } from 'node:path';
import { Redis } from 'ioredis';
import { RedisStore } from 'express-job-limits';
import { createApp } from './app.js';
import { curlLines } from './curl-lines.js';
import { readPlansFile } from './plans-file.js';

const port = wholeNumber('PORT', 3000, 65_535);
const jobMs = wholeNumber('JOB_MS', 2_000, 2 ** 31 - 1);
const plansPath = process.env.PLANS || join(__dirname, 'plans.json');

const redis = process.env.REDIS_URL ? connect(process.env.REDIS_URL) : undefined;
const store = redis && new RedisStore({ client: redis });
// While Redis is away, each process goes on with its share of the limits.
const processes = wholeNumber('PROCESSES', 2, 1_000);
// Jobs that the store knows after a restart are there after a restart, for all processes. Without Redis it knows none.
const directory = redis && (process.env.RESULTS || join(tmpdir(), 'media-api-results'));

const plans = orExit(() => readPlansFile(plansPath));
const api = orExit(() => createApp({ plans, jobMs, store, processes, directory }));
const server = createServer(api.app);

// A client that asks before it sends a large file (`Expect: 100-continue`, as curl does) is refused before it sends it.
api.limits.attach(server);

api.limits.on('expired', ({ job: { ref }, due }) => {
  console.log(`Deleted the ${due} of ${ref.customer}'s job ${ref.id}.`);
});

server.on('error', (error: NodeJS.ErrnoException) => {
  exit(error.code === 'EADDRINUSE' ? `Port ${port} is in use. Set PORT to another one.` : error.message);
});
server.listen(port, () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  console.log(`The media API is on ${url} (pid ${process.pid}).`);
  console.log(
    `Limits are counted ${redis ? `in Redis, shared by ${processes} processes` : 'in this process'}.`,
  );
  console.log(`Plans: ${relative('.', plansPath)}, read again on SIGHUP (kill -HUP ${process.pid}).`);
  for (const { shows, command } of curlLines(url, plans)) console.log(`\n${shows}:\n${command}`);
});

process.on('SIGHUP', () => {
  try {
    api.setPlans(readPlansFile(plansPath));
    console.log('The plans were read again.');
  } catch (error) {
    console.error(`The plans stay as they are. ${(error as Error).message}`);
  }
});

for (const signal of ['SIGTERM', 'SIGINT'] as const) {
  process.once(signal, () => {
    console.log(`${signal}: closing.`);
    server.close(() => void api.close().then(() => redis?.disconnect()));
    // Requests under way are answered, and their connections closed then; who takes longer than 5 s is cut off.
    setInterval(() => server.closeIdleConnections(), 100).unref();
    setTimeout(() => server.closeAllConnections(), 5_000).unref();
  });
}

function connect(url: string): Redis {
  // No second try by the client: the store has its own way with failures, and a script must not wait in a queue.
  const client = new Redis(url, { maxRetriesPerRequest: 0 });
  client.on('error', (error) => console.error(`Redis: ${error.message}`));
  return client;
}

function wholeNumber(name: string, fallback: number, most: number): number {
  const text = process.env[name];
  if (text === undefined || text === '') return fallback;
  const value = Number(text);
  if (Number.isInteger(value) && value >= 0 && value <= most) return value;
  return exit(`${name} must be a whole number from 0 to ${most}, not '${text}'.`);
}

function orExit<T>(make: () => T): T {
  try {
    return make();
  } catch (error) {
    return exit((error as Error).message);
  }
}

function exit(message: string): never {
  console.error(message);
  process.exit(1);
}
