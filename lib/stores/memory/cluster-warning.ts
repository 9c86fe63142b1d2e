import cluster from 'node:cluster';

let warned = false;

export function warnInCluster(): void {
  if (warned || !cluster.isWorker) return;
  warned = true;
  process.emitWarning(
    'MemoryStore counts in each worker of a cluster apart, so that together they allow the limit once per worker. ' +
      'Use a store that the workers share.',
    { code: 'MEMORY_STORE_IN_CLUSTER' },
  );
}
