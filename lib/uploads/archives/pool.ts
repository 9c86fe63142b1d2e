import { join } from 'node:path';
import { availableParallelism } from 'node:os';
import { Worker } from 'node:worker_threads';
import type { InspectionReply, InspectionRequest } from './worker.js';

/** As many archives are inspected at once; others wait. One core is left to the event loop. */
const MOST_WORKERS = Math.max(1, Math.min(4, availableParallelism() - 1));

/** A worker that has had nothing to do for so long is let go. */
const IDLE_MS = 30_000;

/**
 * A worker ends an inspection by itself; one that is this much overdue hangs and is ended from outside. Starting one
 * is in it, on a busy machine.
 */
const OVERDUE_MS = 5_000;

/** What the JavaScript heap of a worker may take; bytes of archives are outside of it, a few pieces at a time. */
const HEAP_MB = 256;

/** Run as TypeScript, in the tests and benches of this package, a worker needs what runs it so. */
const source = __filename.endsWith('.ts');
const workerFile = join(__dirname, source ? 'worker.ts' : 'worker.js');
const execArgv = source ? ['--require', 'tsx/cjs'] : [];

interface Task {
  request: InspectionRequest;
  settle(reply: PoolReply): void;
}

/** A reply, or that there is none: the worker took too long, or died. */
export type PoolReply = InspectionReply | { timedOut: true };

interface Member {
  worker: Worker;
  task: Task | undefined;
  timer: NodeJS.Timeout | undefined;
}

const members = new Set<Member>();
const waiting: Task[] = [];

/** Has an archive inspected by a worker thread, when one is free. Never rejects. */
export function inspectInWorker(request: InspectionRequest): Promise<PoolReply> {
  return new Promise((settle) => {
    waiting.push({ request, settle });
    assign();
  });
}

/** Ends all idle worker threads. Those at work end when they are done. New ones start when they are needed. */
export async function closeArchiveWorkers(): Promise<void> {
  const idle = [...members].filter((member) => member.task === undefined);
  await Promise.all(idle.map(end));
}

function assign(): void {
  while (waiting.length > 0) {
    const member = [...members].find((one) => one.task === undefined) ?? start();
    const task = member === undefined ? undefined : waiting.shift();
    if (member === undefined || task === undefined) return;
    clearTimeout(member.timer);
    member.task = task;
    member.worker.ref();
    member.timer = setTimeout(
      () => lose(member, { timedOut: true }),
      task.request.limits.maxInspect + OVERDUE_MS,
    );
    member.worker.postMessage(task.request);
  }
}

function start(): Member | undefined {
  if (members.size >= MOST_WORKERS) return undefined;
  const worker = new Worker(workerFile, {
    execArgv,
    resourceLimits: { maxOldGenerationSizeMb: HEAP_MB },
    stdin: false,
  });
  const member: Member = { worker, task: undefined, timer: undefined };
  members.add(member);
  worker.on('message', (reply: InspectionReply) => done(member, reply));
  worker.on('error', (error) => lose(member, { failure: error.message }));
  worker.on('exit', () => lose(member, { failure: 'the worker ended' }));
  return member;
}

function done(member: Member, reply: InspectionReply): void {
  const task = member.task;
  clearTimeout(member.timer);
  member.task = undefined;
  member.worker.unref();
  member.timer = setTimeout(() => void end(member), IDLE_MS).unref();
  task?.settle(reply);
  assign();
}

/** Gives up a worker that died or hangs; its task is answered, and a new worker takes its place when needed. */
function lose(member: Member, reply: PoolReply): void {
  const task = member.task;
  member.task = undefined;
  void end(member);
  task?.settle(reply);
  assign();
}

async function end(member: Member): Promise<void> {
  members.delete(member);
  clearTimeout(member.timer);
  await member.worker.terminate();
}
