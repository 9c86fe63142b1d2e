import { fork, type ChildProcess } from 'node:child_process';
import { join } from 'node:path';
import { setTimeout as sleep } from 'node:timers/promises';
import { Redis } from 'ioredis';
import { Keys } from '../../lib/stores/redis/keys.js';
import { RedisStore } from '../../lib/stores/redis/redis-store.js';
import type { Terms } from '../../lib/stores/store.js';

export interface WorkerOptions {
  port: number;
  customer: string;
  terms: Terms;
  /** Added to the wall clock of the process. */
  skewMs: number;
  inFlight: number;
  /** The longest that a job runs. */
  runMs: number;
  /** The part of jobs that is never committed. */
  abandoned: number;
}

/** What a worker tells since it last did. Times are of the machine's clock, the same for all. */
export interface WorkerNews {
  admitted: number;
  refused: number;
  failed: number;
  held: [id: string, at: number][];
  /** Before `finish` was called. */
  ended: [id: string, at: number][];
}

export interface ProcessesReport {
  admitted: number;
  refused: number;
  failed: number;
  killed: number;
  /** The most jobs that ran at once, from the answer of admit until before finish was called or the lease could be over. */
  mostRunning: number;
  /** The most leases that the store showed. */
  mostLeases: number;
  /** The most admissions in any stretch of the window, by the server's time. */
  mostInWindow: number;
  /** Admissions that the store's log showed, none of them looked at twice. */
  logged: number;
}

/** Runs so many processes against one server and one customer and watches what the limits promise. */
export async function runProcesses(
  port: number,
  terms: Terms,
  {
    processes = 8,
    ms,
    killEveryMs,
    abandoned = 0,
    runMs = 400,
    leaseMs,
    skewMs = 3_600_000,
  }: {
    processes?: number;
    ms: number;
    killEveryMs?: number;
    abandoned?: number;
    runMs?: number;
    /** The shortest that a lease lives without its process. */
    leaseMs: number;
    skewMs?: number;
  },
): Promise<ProcessesReport> {
  const customer = 'acme';
  const windowMs = terms.limits.find((limit) => limit.kind === 'creation-rate')!.windowMs;
  const report: ProcessesReport = {
    admitted: 0,
    refused: 0,
    failed: 0,
    killed: 0,
    mostRunning: 0,
    mostLeases: 0,
    mostInWindow: 0,
    logged: 0,
  };
  const held = new Map<string, number>();
  const ended = new Map<string, number>();
  const exits: Promise<unknown>[] = [];

  const start = (index: number): ChildProcess => {
    const options: WorkerOptions = {
      port,
      customer,
      terms,
      skewMs: ((index % 3) - 1) * skewMs,
      inFlight: 8,
      runMs,
      abandoned,
    };
    const child = fork(join(__dirname, 'store-worker.ts'), [JSON.stringify(options)], {
      execArgv: ['--import', 'tsx'],
    });
    child.on('message', (news: WorkerNews) => {
      report.admitted += news.admitted;
      report.refused += news.refused;
      report.failed += news.failed;
      for (const [id, at] of news.held) held.set(id, at);
      for (const [id, at] of news.ended) ended.set(id, at);
    });
    exits.push(new Promise((resolve) => child.once('exit', resolve)));
    return child;
  };

  const client = new Redis(port);
  const store = new RedisStore({ client });
  const [log] = new Keys('job-limits', 64).ofCustomer(customer).logs(terms.limits);
  const times = new Set<number>();
  let watching = true;
  const watch = async (): Promise<void> => {
    while (watching) {
      for (const time of await client.lrange(log!, 0, -1)) times.add(Number(time));
      const { running } = await store.usage(customer, []);
      report.mostLeases = Math.max(report.mostLeases, running.length);
      await sleep(windowMs / 10);
    }
  };

  const workers = Array.from({ length: processes }, (_, index) => start(index));
  const watcher = watch();
  const until = performance.now() + ms;
  while (performance.now() < until) {
    await sleep(Math.min(killEveryMs ?? ms, Math.max(0, until - performance.now())));
    if (killEveryMs !== undefined && performance.now() < until) {
      const victim = Math.floor(Math.random() * workers.length);
      workers[victim]!.kill('SIGKILL');
      report.killed += 1;
      workers[victim] = start(victim);
    }
  }
  for (const worker of workers) if (worker.connected) worker.send('stop');
  await Promise.all(exits);
  await sleep(windowMs / 5);
  watching = false;
  await watcher;
  client.disconnect();

  report.mostRunning = mostAtOnce(held, ended, leaseMs);
  report.mostInWindow = mostWithin([...times], windowMs * 1_000);
  report.logged = times.size;
  return report;
}

/** The most intervals that overlap. One without an end counts until its lease can be over. */
function mostAtOnce(held: Map<string, number>, ended: Map<string, number>, leaseMs: number): number {
  const changes = [...held].flatMap(([id, from]) => {
    const until = Math.min(ended.get(id) ?? Infinity, from + leaseMs - 100);
    return until > from ? [[from, 1] as const, [until, -1] as const] : [];
  });
  changes.sort((a, b) => a[0] - b[0] || a[1] - b[1]);
  let now = 0;
  return changes.reduce((most, [, by]) => Math.max(most, (now += by)), 0);
}

/** The most times in any half-open stretch of that length. */
function mostWithin(times: number[], length: number): number {
  times.sort((a, b) => a - b);
  let first = 0;
  return times.reduce((most, time, last) => {
    while (times[first]! <= time - length) first += 1;
    return Math.max(most, last - first + 1);
  }, 0);
}
