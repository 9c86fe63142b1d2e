import assert from 'node:assert/strict';
import type { Claim, JobRef, LimitStore, Outcome, Retention, Terms } from '../../stores/store.js';
import { HOUR, MINUTE, request, slots, termsOf } from '../harness.js';

export const DAY = 24 * HOUR;

export const keptTerms = (retention: Partial<Retention> = {}): Terms => ({
  ...termsOf(slots(1_000, { maxRunMs: 8 * HOUR })),
  retention: { resultsMs: HOUR, metadataMs: DAY, ...retention },
});

/** A job that has ended. */
export async function finished(
  store: LimitStore,
  terms: Terms = keptTerms(),
  outcome: Outcome = { state: 'completed' },
  customer = 'acme',
): Promise<JobRef> {
  const job = request(terms, customer);
  assert.equal((await store.admit(job)).allowed, true);
  assert.equal(await store.commit(job.ref, job.run), 'committed');
  assert.equal(await store.finish(job.ref, outcome), 'finished');
  return job.ref;
}

export const claimEach = (store: LimitStore, limit: number, leaseMs = MINUTE): Promise<Claim[][]> =>
  Promise.all(Array.from({ length: store.shards }, (_, shard) => store.claim({ shard, limit, leaseMs })));

export const claimAll = async (store: LimitStore, leaseMs = MINUTE): Promise<Claim[]> =>
  (await claimEach(store, 1_000, leaseMs)).flat();

/** Confirms all that is due until nothing is. */
export async function sweep(store: LimitStore): Promise<void> {
  for (let claims = await claimAll(store); claims.length > 0; claims = await claimAll(store)) {
    await store.confirm(claims);
  }
}
