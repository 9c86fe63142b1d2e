// A fleet of clients at a server's limits: this package's client beside the retry policies of real SDKs, same run.
// npm run soak -- client
import { readFileSync } from 'node:fs';
import { join } from 'node:path';
import { retrying, type RetryingOptions } from '../lib/client/index.js';
import { jobRequest, runFleet, watch, type MakeJob } from '../__tests__/support/fleet.js';
import { makeServer } from '../__tests__/support/fleet-server.js';

const limits = { creationRate: { limit: 250, windowMs: 1000 }, running: 50, jobMs: 600 };
const clients = 200;
const jobs = Number(process.env.JOBS ?? 5000);

const sleep = (durationMs: number): Promise<void> =>
  new Promise((resolve) => setTimeout(resolve, durationMs));

const ours = (options: RetryingOptions) => (): MakeJob => {
  const api = retrying(fetch, { idempotency: true, ...options });
  return async (url, job) => {
    const response = await api(url, jobRequest(job));
    await response.arrayBuffer();
    if (!response.ok) throw new Error(`status ${response.status}`);
  };
};

/** The policy of the Transloadit Node SDK: 413 with the code or 429, five retries, what was told plus up to a tenth. */
const transloadit = (): MakeJob => async (url, job) => {
  for (let retries = 0; ; retries++) {
    const response = await fetch(url, jobRequest(job));
    const body = (await response.json()) as { error?: string; info?: { retryIn?: number } };
    if (response.ok) return;
    const limited =
      response.status === 429 || (response.status === 413 && body.error === 'RATE_LIMIT_REACHED');
    if (!limited || retries === 5) throw new Error(`status ${response.status}`);
    const retryIn = body.info?.retryIn ?? (Number(response.headers.get('Retry-After')) || 1);
    await sleep(retryIn * 1000 * (1 + 0.1 * Math.random()));
  }
};

/** The policy of the Hume TypeScript SDK: 408, 429 and 5xx, two retries, Retry-After up to a minute. */
const hume = (): MakeJob => async (url, job) => {
  for (let retries = 0; ; retries++) {
    const response = await fetch(url, jobRequest(job));
    await response.arrayBuffer();
    if (response.ok) return;
    const retryable = [408, 429].includes(response.status) || response.status >= 500;
    if (!retryable || retries === 2) throw new Error(`status ${response.status}`);
    const retryAfter = Number(response.headers.get('Retry-After'));
    const growing = 1000 * 2 ** retries * (0.9 + 0.2 * Math.random());
    await sleep(Math.min(retryAfter > 0 ? retryAfter * 1000 : growing, 60_000));
  }
};

interface Row {
  name: string;
  newClient: () => MakeJob;
  dropEvery?: number;
  deniedStatus?: 413 | 429;
}

async function run({ name, newClient, dropEvery, deniedStatus }: Row): Promise<void> {
  const server = await makeServer({ ...limits, ...(deniedStatus ? { deniedStatus } : {}) });
  // Two jobs before the clock starts: a server that has seen no slot come free can only guess how long a wait is.
  for (const job of [-1, -2])
    await fetch(server.url, jobRequest(job)).then((response) => response.arrayBuffer());
  await sleep(limits.jobMs + 500);
  const proxy = await watch(server.url, dropEvery ? { dropEvery } : {});
  const { gaveUp, elapsedMs } = await runFleet({ url: proxy.url, clients, jobs, newClient });

  const times = Array.from({ length: jobs }, (_, job) => server.made.get(job) ?? 0);
  const once = times.filter((count) => count === 1).length;
  const twice = times.filter((count) => count > 1).length;
  // The last job still runs when its answer has come.
  const totalMs = elapsedMs + limits.jobMs;
  const leastMs = Math.max(
    Math.ceil(jobs / limits.running) * limits.jobMs,
    (Math.ceil(jobs / limits.creationRate.limit) - 1) * limits.creationRate.windowMs,
  );
  console.log(
    `| ${name} | ${once} | ${twice} | ${jobs - once - twice} | ${gaveUp} | ${(server.refused() / jobs).toFixed(2)} | ` +
      `${early(proxy.early)} | ${proxy.dropped()} | ${(totalMs / 1000).toFixed(1)} s | ${(totalMs / leastMs).toFixed(3)} |`,
  );
  await proxy.close();
  await server.close();
}

const early = (aheadMs: number[]): string =>
  aheadMs.length === 0 ? '0' : `${aheadMs.length}, by up to ${Math.max(...aheadMs).toFixed(1)} ms`;

async function main(): Promise<void> {
  const { got } = await import('got');
  // Its package.json is not among its exports.
  const gotFile = join(__dirname, '../node_modules/got/package.json');
  const { version } = JSON.parse(readFileSync(gotFile, 'utf8')) as { version: string };
  const gotDefault = (): MakeJob => async (url, job) => void (await got(url, jobRequest(job)));

  console.log(
    `node ${process.version}: ${clients} clients, ${jobs} jobs of ${limits.jobMs} ms, ${limits.running} running,`,
  );
  console.log(`${limits.creationRate.limit} creations in ${limits.creationRate.windowMs} ms\n`);
  console.log(
    '| client | made once | twice or more | never | given up | refusals a job | too early | answers dropped | time | by the least possible |',
  );
  console.log('| --- | --- | --- | --- | --- | --- | --- | --- | --- | --- |');
  const rows: Row[] = [
    { name: 'retrying', newClient: ours({}) },
    { name: 'retrying, spacing', newClient: ours({ spacing: true }) },
    { name: "Transloadit SDK's policy", newClient: transloadit },
    { name: "Hume SDK's policy (server answers 429)", newClient: hume, deniedStatus: 429 },
    { name: `got ${version}, defaults`, newClient: gotDefault },
  ];
  const only = process.env.ONLY;
  for (const row of rows.filter(({ name }) => only === undefined || name === only)) {
    await run(row);
    await run({ ...row, name: `${row.name}; one answer in 20 dropped`, dropEvery: 20 });
  }
}

void main();
