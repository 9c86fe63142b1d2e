import { RedisServer } from '../__tests__/support/redis-server.js';
import { runProcesses } from '../__tests__/support/store-processes.js';
import { rate, slots, termsOf } from '../lib/testing/harness.js';

// One process, eight, and eight of which one is killed now and then, against one customer's limits of 250. SOAK_SECONDS
// for the longest part. @default 300
const seconds = Number(process.env['SOAK_SECONDS'] ?? 300);
const LIMIT = 250;

async function main(): Promise<void> {
  const plain = termsOf(rate(LIMIT, 1_000), slots(LIMIT));
  const wide = termsOf(rate(100_000, 1_000), slots(100_000));
  const beating = { ...termsOf(rate(LIMIT, 1_000), slots(LIMIT, { heartbeatMs: 5_000 })), pendingMs: 5_000 };
  const hour = 3_600_000;
  const parts = [
    ['1 process, nothing refused', wide, { processes: 1, ms: 10_000, runMs: 50, leaseMs: hour }],
    ['8 processes, nothing refused', wide, { processes: 8, ms: 10_000, runMs: 50, leaseMs: hour }],
    ['1 process', plain, { processes: 1, ms: 10_000, leaseMs: hour }],
    ['8 processes', plain, { processes: 8, ms: seconds * 1_000, leaseMs: hour }],
    [
      '8 processes, killed',
      beating,
      { ms: seconds * 1_000, killEveryMs: 2_000, abandoned: 0.05, leaseMs: 5_000 },
    ],
  ] as const;
  console.log(`Node ${process.version}, limits of ${LIMIT} running and ${LIMIT} a second`);
  for (const [name, terms, options] of parts) {
    const server = await RedisServer.start();
    const report = await runProcesses(server.port, terms, options);
    await server.stop();
    const decided = Math.round((report.admitted + report.refused) / (options.ms / 1_000));
    console.log(`${name}: ${decided} decisions/s`, JSON.stringify(report));
    const most = terms === wide ? 100_000 : LIMIT;
    if (report.mostInWindow > most || report.mostRunning > most || report.mostLeases > most) {
      console.error('A LIMIT WAS EXCEEDED');
      process.exitCode = 1;
    }
  }
}

void main();
