import { checkedRef } from '../jobs/job-ref.js';
import type { JobRef } from '../stores/store.js';

/**
 * The id that a job has in BullMQ: `id@customer`, each percent-encoded. BullMQ's events carry ids and no data, and come when
 * the job itself may be gone: so the id alone says which job it is. A job added twice is one job to BullMQ.
 *
 * @throws {RequestError} `JOB_REF_INVALID`
 */
export function bullJobId(ref: JobRef): string {
  const { customer, id } = checkedRef(ref);
  return `${encodeURIComponent(id)}@${encodeURIComponent(customer)}`;
}

/** The ref of a job of BullMQ, or `undefined` for a job that `bullJobId` didn't name. */
export function refOfBullJob(jobId: string | undefined): JobRef | undefined {
  try {
    const [id, customer] = jobId!.split('@').map(decodeURIComponent);
    const ref = { customer: customer!, id: id! };
    return bullJobId(ref) === jobId ? ref : undefined;
  } catch {
    return undefined;
  }
}
