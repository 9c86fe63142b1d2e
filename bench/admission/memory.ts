import { MemoryStore, ManualClock, type Terms } from 'express-job-limits';
import { randomId } from '../../lib/jobs/job-id.js';
import { printTable } from '../support/table.js';

const CUSTOMERS = 500;
const JOBS = 250;

const heap = (): number => {
  for (let i = 0; i < 4; i += 1) globalThis.gc!();
  const { heapUsed, arrayBuffers } = process.memoryUsage();
  return heapUsed + arrayBuffers;
};

/** Heap and array buffers of a customer that has used its minute and runs 250 jobs, and of one that has gone idle. */
export async function memoryOfCustomers(): Promise<void> {
  // Once with few, so that compiled code and grown tables are not taken for customers.
  await measure(20);
  const { busy, idle } = await measure(CUSTOMERS);
  console.log('\nheap of a customer:');
  printTable([
    { customer: `${JOBS} a minute used, ${JOBS} running`, kB: (busy / 1000).toFixed(1), aim: '≤ 48' },
    { customer: 'idle', kB: (idle / 1000).toFixed(3), aim: '0' },
  ]);
}

async function measure(customers: number): Promise<{ busy: number; idle: number }> {
  const clock = new ManualClock();
  const store = new MemoryStore({ clock, maxJobs: customers * JOBS });
  const terms: Terms = {
    plan: 'free',
    limits: [
      { kind: 'creation-rate', name: 'creation-rate', limit: JOBS, windowMs: 60_000, mode: 'enforce' },
      { kind: 'concurrency', name: 'concurrency', limit: JOBS, maxRunMs: 8 * 3_600_000, mode: 'enforce' },
    ],
    pendingMs: 60_000,
    rememberMs: 24 * 3_600_000,
  };
  const before = heap();
  for (let c = 0; c < customers; c += 1) {
    for (let j = 0; j < JOBS; j += 1) {
      const ref = { customer: `customer-${c}`, id: randomId() };
      await store.admit({ ref, run: ref.id, terms });
      await store.commit(ref, ref.id);
      clock.advance(1);
    }
  }
  const busy = (heap() - before) / customers;
  clock.advance(40 * 24 * 3_600_000);
  for (let i = 0; i < 10; i += 1) clock.advance(10_000);
  const idle = (heap() - before) / customers;
  await store.close();
  return { busy, idle };
}
