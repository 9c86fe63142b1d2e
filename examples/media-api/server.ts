import { createServer } from 'node:http';
import type { AddressInfo } from 'node:net';
import { join, relative } from 'node:path';
import { createApp } from './app.js';
import { curlLines } from './curl-lines.js';
import { readPlansFile } from './plans-file.js';

const port = wholeNumber('PORT', 3000, 65_535);
const jobMs = wholeNumber('JOB_MS', 2_000, 2 ** 31 - 1);
const plansPath = process.env.PLANS || join(__dirname, 'plans.json');

const plans = orExit(() => readPlansFile(plansPath));
const api = orExit(() => createApp({ plans, jobMs }));
const server = createServer(api.app);

server.on('error', (error: NodeJS.ErrnoException) => {
  exit(error.code === 'EADDRINUSE' ? `Port ${port} is in use. Set PORT to another one.` : error.message);
});
server.listen(port, () => {
  const url = `http://127.0.0.1:${(server.address() as AddressInfo).port}`;
  console.log(`The media API is on ${url} (pid ${process.pid}).`);
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
    server.close(() => void api.close());
    // Requests under way are answered, and their connections closed then; who takes longer than 5 s is cut off.
    setInterval(() => server.closeIdleConnections(), 100).unref();
    setTimeout(() => server.closeAllConnections(), 5_000).unref();
  });
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
