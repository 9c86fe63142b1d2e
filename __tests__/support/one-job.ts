// A process that admits a job and ends it, and prints whether OpenTelemetry's API can be loaded and what happened.
import express from 'express';
import { jobLimits, MemoryStore } from '../../lib/index.js';
import { listen } from './http.js';

const loads = (name: string): boolean => {
  try {
    // eslint-disable-next-line @typescript-eslint/no-require-imports -- what the package does
    require(name);
    return true;
  } catch {
    return false;
  }
};

async function main(): Promise<void> {
  const store = new MemoryStore();
  const limits = jobLimits({ store, customer: () => 'acme', plans: { free: { concurrency: { limit: 1 } } } });
  const app = express();
  app.use(limits.highFrequency({ requests: { limit: 100 } }));
  app.post('/jobs', limits.admission(), (req, res) => void res.status(201).json(limits.job(req).ref));
  const server = await listen(app);
  const create = () => fetch(`${server.url}/jobs`, { method: 'POST' });
  const created = await create();
  const refused = await create();
  const ref = (await created.json()) as { customer: string; id: string };
  const answer = await limits.finish(ref, { state: 'completed' });
  await server.close();
  await limits.close();
  await store.close();
  const api = loads('@opentelemetry/api');
  console.log(JSON.stringify({ api, statuses: [created.status, refused.status], answer }));
}

void main();
