import type { Creation } from './media-api.js';

/** The creations of each URL, in their order: one list a job where each job has a URL of its own. */
export function triesByPath(creations: Creation[]): Map<string, Creation[]> {
  const tries = new Map<string, Creation[]>();
  for (const creation of creations) {
    const earlier = tries.get(creation.path);
    if (earlier === undefined) tries.set(creation.path, [creation]);
    else earlier.push(creation);
  }
  return tries;
}

/**
 * Expects that each job was made by its last try, that all tries before were refused, and that the client waited at least
 * what each refusal told it.
 */
export function expectWaited(tries: Creation[][], deniedStatus: number): { refusals: number } {
  let refusals = 0;
  for (const [...ofOneJob] of tries) {
    const last = ofOneJob.pop()!;
    expect(last.status).toBe(200);
    for (const [index, refused] of ofOneJob.entries()) {
      refusals += 1;
      expect(refused.status).toBe(deniedStatus);
      expect(refused.retryAfter).toBeGreaterThanOrEqual(1);
      const next = ofOneJob[index + 1] ?? last;
      // A timer may fire within the millisecond before its time.
      expect(next.cameAt - refused.cameAt).toBeGreaterThanOrEqual(refused.retryAfter * 1000 - 1);
    }
  }
  return { refusals };
}
