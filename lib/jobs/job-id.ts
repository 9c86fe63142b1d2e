import { createHash, randomFillSync } from 'node:crypto';

const ID_BYTES = 16;
const DIGEST_CHARACTERS = 22;
const pool = Buffer.allocUnsafe(ID_BYTES * 256);
let used = pool.length;

/** 128 random bits in 22 characters that fit a URL and a file name. Drawn many at a time, which is what costs. */
export function randomId(): string {
  if (used === pool.length) {
    randomFillSync(pool);
    used = 0;
  }
  used += ID_BYTES;
  return pool.toString('base64url', used - ID_BYTES, used);
}

/** 128 bits of a text's SHA-256, in the characters of a random id. */
const digest = (text: string): string =>
  createHash('sha256').update(text).digest('base64url').slice(0, DIGEST_CHARACTERS);

/** The id of the job that a customer's key names. Of the two only the customer's id may hold a NUL. */
export const idOfKey = (customer: string, key: string): string => digest(`${customer}\0${key}`);

/** A run, which has its request's fingerprint in front where that has one. No id and no digest holds a dot. */
export const runOf = (fingerprint?: string): string =>
  fingerprint === undefined ? randomId() : `${digest(fingerprint)}.${randomId()}`;

/** Whether two runs have fingerprints, and different ones. */
export function differ(run: string, other: string): boolean {
  const [one, two] = [run, other].map((text) => /^(.*)\./.exec(text)?.[1]);
  return one !== undefined && two !== undefined && one !== two;
}
