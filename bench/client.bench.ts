// What a fleet at its limits comes to where nothing is ever late: this package's client at MemoryStore, in virtual time, so
// that the numbers are the policy's alone. `npm run soak -- client` is the same with sockets and real time.
// npm run bench -- client
import type { Request, Response as ExpressResponse } from 'express';
import { manualTime } from '../__tests__/support/virtual-time.js';
import { retrying, type RetryingOptions } from '../lib/client/index.js';
import { answerRefusal, answerSettings } from '../lib/http/answers.js';
import { showLimits } from '../lib/http/rate-limit-headers.js';
import { idOfKey, runOf } from '../lib/jobs/job-id.js';
import { MemoryStore } from '../lib/stores/memory/memory-store.js';
import type { Terms } from '../lib/stores/store.js';
import { printTable } from './support/table.js';

const CLIENTS = 200;
const JOBS = Number(process.env.JOBS ?? 5000);
const JOB_MS = 600;
const RUNNING = 50;
/** One way, and as much again at random. */
const LATENCY_MS = 1;

const terms: Terms = {
  limits: [
    { kind: 'creation-rate', name: 'creation-rate', limit: 250, windowMs: 1000, mode: 'enforce' },
    { kind: 'concurrency', name: 'concurrency', limit: RUNNING, maxRunMs: 3_600_000, mode: 'enforce' },
  ],
  pendingMs: 60_000,
  rememberMs: 3_600_000,
};

interface Row {
  client: string;
  options: RetryingOptions;
  dropEvery?: number;
  /** The server has seen no slot come free yet. */
  cold?: boolean;
}

async function run({ client, options, dropEvery = Infinity, cold = false }: Row) {
  const { clock, sleep, pass } = manualTime();
  const random = randomOf(1);
  const store = new MemoryStore({ clock });
  const wait = (ms: number): Promise<void> => sleep(ms, undefined);
  let made = 0;
  let refused = 0;
  let answers = 0;
  let lastAnswerAt = 0;

  async function serve(key: string): Promise<Response> {
    const ref = { customer: 'acme', id: idOfKey('acme', key) };
    const job = runOf();
    const decision = await store.admit({ ref, run: job, terms });
    const headers = limitHeaders(decision.limits);
    if (!decision.allowed) {
      refused++;
      const answer = answerRefusal(decision, answerSettings({}), {} as Request, clock.wallNow());
      const init = { status: answer.status, headers: { ...headers, ...answer.headers } };
      return new Response(JSON.stringify(answer.body), init);
    }
    if (decision.replayed) return new Response(null, { status: 200 });
    made++;
    await store.commit(ref, job);
    void wait(JOB_MS).then(() => store.finish(ref, { state: 'completed' }));
    return new Response(null, { status: 201, headers });
  }

  const fetchVirtually = async (_url: unknown, init?: RequestInit): Promise<Response> => {
    await wait(LATENCY_MS * (1 + random()));
    const answer = await serve(new Headers(init?.headers).get('Idempotency-Key')!);
    await wait(LATENCY_MS * (1 + random()));
    lastAnswerAt = clock.now();
    if (++answers % dropEvery === 0) throw new TypeError('the answer was lost');
    return answer;
  };

  if (!cold) {
    for (const key of ['first', 'second']) await serve(key);
    await pass(JOB_MS + 1000);
  }
  [made, refused] = [0, 0];
  const begunAt = clock.now();
  let working = true;
  let next = 0;
  const work = async (): Promise<void> => {
    const api = retrying(fetchVirtually, { idempotency: true, clock, sleep, random, ...options });
    while (next++ < JOBS) await api('https://api.example.com/jobs', { method: 'POST' });
  };
  const all = Promise.all(Array.from({ length: CLIENTS }, work)).then(() => (working = false));
  // Millisecond by millisecond, with a turn of the event loop in each: a body is read in several turns.
  while (working) {
    await pass(1);
    await new Promise((resolve) => setImmediate(resolve));
  }
  await all;
  await store.close();
  const leastMs = Math.ceil(JOBS / RUNNING) * JOB_MS;
  return {
    client,
    'jobs made': made,
    'refusals a job': (refused / JOBS).toFixed(2),
    'time by the least possible': ((lastAnswerAt - begunAt + JOB_MS) / leastMs).toFixed(3),
  };
}

function limitHeaders(limits: Parameters<typeof showLimits>[2]): Record<string, string> {
  const headers: Record<string, string> = {};
  const res = { setHeader: (name: string, value: string) => void (headers[name] = value) };
  showLimits({} as Request, res as unknown as ExpressResponse, limits);
  return headers;
}

/** Numbers from 0 to below 1, the same ones for a seed (mulberry32). */
function randomOf(seed: number): () => number {
  return () => {
    seed = (seed + 0x6d2b79f5) | 0;
    let t = Math.imul(seed ^ (seed >>> 15), seed | 1);
    t ^= t + Math.imul(t ^ (t >>> 7), t | 61);
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

async function main(): Promise<void> {
  console.log(
    `node ${process.version}, virtual time: ${CLIENTS} clients, ${JOBS} jobs of ${JOB_MS} ms, ${RUNNING} running\n`,
  );
  const spacing = { spacing: true };
  const rows: Row[] = [
    { client: 'retrying', options: {} },
    { client: 'retrying, one answer in 20 dropped', options: {}, dropEvery: 20 },
    { client: 'retrying, spacing', options: spacing },
    { client: 'retrying, spacing, one answer in 20 dropped', options: spacing, dropEvery: 20 },
    { client: 'retrying, cold', options: {}, cold: true },
  ];
  const results = [];
  for (const row of rows) results.push(await run(row));
  printTable(results);
}

void main();
