import { setFlagsFromString } from 'node:v8';
import { runInNewContext } from 'node:vm';
import { Worker } from 'node:worker_threads';
import ms from 'ms';
import { inputOf, LONGEST_MS, samples, tryInput } from '../__tests__/support/archive-fuzzer.js';

// npm run fuzz -- [inputs or duration] [seed] [index]: 1000000, or 60s; with an index that input alone, in full.
const [amount = '1000000', seedGiven, only] = process.argv.slice(4);
const seed = Number(seedGiven ?? Date.now() % 0x7fffffff);
const inputs = /^[0-9]+$/.test(amount) ? Number(amount) : Infinity;
const endsAt = inputs === Infinity ? performance.now() + ms(amount as ms.StringValue) : Infinity;

/** What the process may grow by between a tenth of the run and its end. */
const MOST_GROWTH = 32 * 1024 * 1024;

setFlagsFromString('--expose-gc');
const collect = runInNewContext('gc') as () => void;

function memory(): number {
  collect();
  const { heapUsed, external } = process.memoryUsage();
  return heapUsed + external;
}

/** Ends the process, from outside of its hanging thread, when one input doesn't end. */
function watch(at: Int32Array): Worker {
  const code = `
    const { workerData: { at, seed, longest } } = require('node:worker_threads');
    let last = -1;
    setInterval(() => {
      const index = Atomics.load(at, 0);
      if (index === last && index >= 0) {
        require('node:fs').writeSync(2, 'HANGS: seed ' + seed + ', input ' + index + '\\n');
        process.kill(process.pid, 'SIGKILL');
      }
      last = index;
    }, longest * 2);`;
  const worker = new Worker(code, { eval: true, workerData: { at, seed, longest: LONGEST_MS } });
  worker.unref();
  return worker;
}

async function fuzz(): Promise<void> {
  const all = samples();
  console.log(`seed ${seed}, ${all.length} samples, ${inputs === Infinity ? amount : `${inputs} inputs`}`);
  if (only !== undefined) {
    console.log(inputOf(seed, Number(only), all).toString('base64'));
    console.log(await tryInput(seed, Number(only), all));
    return;
  }
  const at = new Int32Array(new SharedArrayBuffer(4));
  const watcher = watch(at);
  const answers = new Map<string, number>();
  const started = performance.now();
  let failures = 0;
  let slowest = 0;
  let before: number | undefined;
  let index = 0;
  for (; index < inputs && performance.now() < endsAt; index += 1) {
    Atomics.store(at, 0, index);
    const from = performance.now();
    const { outcome, failure } = await tryInput(seed, index, all);
    slowest = Math.max(slowest, performance.now() - from);
    if (failure !== undefined) {
      failures += 1;
      console.error(`input ${index}: ${failure.why}\n  ${failure.input.subarray(0, 300).toString('base64')}`);
    }
    const answer = outcome === undefined ? 'failed' : outcome.ok ? 'accepted' : outcome.code;
    answers.set(answer, (answers.get(answer) ?? 0) + 1);
    const tenth =
      index >= inputs / 10 || (inputs === Infinity && performance.now() > started + (endsAt - started) / 10);
    if (before === undefined && tenth) before = memory();
  }
  Atomics.store(at, 0, -1);
  await watcher.terminate();
  const growth = memory() - (before ?? memory());
  for (const [answer, count] of [...answers].sort((a, b) => b[1] - a[1])) console.log(`${count}\t${answer}`);
  const seconds = (performance.now() - started) / 1000;
  console.log(
    `${index} inputs in ${seconds.toFixed(1)} s (seed ${seed}): ${failures} failures, slowest ${slowest.toFixed(0)} ms, grew by ${(growth / 1024 / 1024).toFixed(1)} MiB`,
  );
  if (growth > MOST_GROWTH) console.error('GROWS');
  process.exitCode = failures > 0 || growth > MOST_GROWTH ? 1 : 0;
}

void fuzz();
