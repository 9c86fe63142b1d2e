import type { Request } from 'express';
import type { Refusal } from '../decision.js';
import { ConfigError, describe, RequestError } from '../errors.js';
import { isId, MOST_ID_BYTES } from '../http/customer.js';
import { idempotencyKeyOf, missingKey } from '../http/idempotency-key.js';
import { idOfKey, randomId, runOf } from '../jobs/job-id.js';
import { boolean, either, func, oneOf, optional, type Checks } from '../options.js';
import type { JobRef } from '../stores/store.js';

/** Options that say which job a request asks for, so that the same one is known when it is asked for again. */
export interface JobNameOptions {
  /**
   * The job's id, for clients that choose it, as in the path. A request with an id that exists is a replay and charges
   * nothing. At most 512 bytes. @default a random id
   */
  jobId?: (req: Request) => string | Promise<string>;
  /**
   * Makes the job's id of the customer's id and the `Idempotency-Key` header: a creation that is sent again because its
   * answer was lost is a replay. Needs `onReplay`, excludes `jobId`. Without the header the id is random; with `'required'`
   * the answer is 400 `IDEMPOTENCY_KEY_MISSING`. A header that can't be a key: 400 `IDEMPOTENCY_KEY_INVALID`.
   * @default false
   */
  idempotency?: boolean | 'required';
  /**
   * What a request with a key asks for, as any string; a hash of it is kept. The key sent again with another fingerprint
   * is answered 422 `IDEMPOTENCY_KEY_REUSED`. Called before the job is admitted: what it looks at must have been parsed by
   * then, or is read by the function. Only with `idempotency`. @default none, a key alone makes a replay
   */
  fingerprint?: (req: Request) => string | Promise<string>;
}

type OfRequest = (req: Request) => string | Promise<string>;

/** The checks of `JobNameOptions`. */
export const nameChecks = {
  jobId: optional(func<OfRequest>()),
  idempotency: optional(either((value) => typeof value === 'string', oneOf('required'), boolean)),
  fingerprint: optional(func<OfRequest>()),
} satisfies Checks<JobNameOptions>;

type CheckedNames = { [K in keyof typeof nameChecks]: ReturnType<(typeof nameChecks)[K]> };

/**
 * Checks options together that are each right by themselves.
 *
 * @throws {ConfigError}
 */
export function checkNaming(
  owner: string,
  { jobId, idempotency, fingerprint, onReplay }: CheckedNames & { onReplay: unknown },
  hold: 'job' | 'request',
): void {
  const exclude = (option: string, value: unknown, why: string): void => {
    if (value) throw new ConfigError('CONFIG_INVALID_OPTION', `${owner}.${option}`, `none ${why}`, value);
  };
  if (hold === 'request') {
    const why = "with hold: 'request', which makes no job that could be named again";
    exclude('jobId', jobId, why);
    exclude('idempotency', idempotency, why);
  }
  if (!idempotency) return exclude('fingerprint', fingerprint, 'without idempotency');
  exclude('jobId', jobId, 'with idempotency, which makes the id of the key');
  if (!onReplay) {
    const expected = "'pass' or a function that answers a replay, which idempotency makes";
    throw new ConfigError('CONFIG_MISSING_OPTION', `${owner}.onReplay`, expected, onReplay);
  }
}

/** Which job a request asks for, and the run that tells it from other requests for the same job. */
interface NamedJob {
  ref: JobRef;
  run: string;
}

/**
 * Names the job of a request.
 *
 * @throws {RequestError} `JOB_ID_FAILED` (500), `JOB_ID_INVALID` (400), `FINGERPRINT_FAILED` (500, or the status of the error
 *   that `fingerprint` threw where that is one), `FINGERPRINT_INVALID` (400).
 */
export function nameJob(
  req: Request,
  customer: string,
  { jobId, idempotency, fingerprint }: CheckedNames,
): NamedJob | Refusal | Promise<NamedJob> {
  if (jobId) return chosenId(req, jobId).then((id) => ({ ref: { customer, id }, run: runOf() }));
  const key = idempotency ? idempotencyKeyOf(req) : undefined;
  if (key === undefined) {
    if (idempotency === 'required') return missingKey;
    // A random id is told apart by itself; a client may send the same key twice.
    const id = randomId();
    return { ref: { customer, id }, run: id };
  }
  if (typeof key !== 'string') return key;
  const ref = { customer, id: idOfKey(customer, key) };
  if (!fingerprint) return { ref, run: runOf() };
  return fingerprintOf(req, fingerprint).then((print) => ({ ref, run: runOf(print) }));
}

async function chosenId(req: Request, jobId: OfRequest): Promise<string> {
  let id: unknown;
  try {
    id = await jobId(req);
  } catch (cause) {
    throw new RequestError('JOB_ID_FAILED', 500, `jobId(req) failed: ${String(cause)}`, { cause });
  }
  if (isId(id)) return id;
  const expected = `expected a string of 1 to ${MOST_ID_BYTES} bytes of UTF-8`;
  throw new RequestError('JOB_ID_INVALID', 400, `jobId(req): ${expected}, received ${describe(id)}`);
}

async function fingerprintOf(req: Request, fingerprint: OfRequest): Promise<string> {
  let print: unknown;
  try {
    print = await fingerprint(req);
  } catch (cause) {
    if (cause instanceof RequestError) throw cause;
    const { status } = (cause ?? {}) as { status?: unknown };
    const known = typeof status === 'number' && status >= 400 && status < 600 ? status : 500;
    throw new RequestError('FINGERPRINT_FAILED', known, `fingerprint(req) failed: ${String(cause)}`, {
      cause,
    });
  }
  if (typeof print === 'string') return print;
  const received = describe(print);
  throw new RequestError(
    'FINGERPRINT_INVALID',
    400,
    `fingerprint(req): expected a string, received ${received}`,
  );
}
