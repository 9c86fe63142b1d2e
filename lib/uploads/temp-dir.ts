import { randomBytes } from 'node:crypto';
import { rmSync } from 'node:fs';
import { mkdir, readdir, rm, stat, utimes } from 'node:fs/promises';
import { hostname } from 'node:os';
import { join } from 'node:path';
import { systemClock } from '../clock.js';

/** Every process keeps its files in a directory of its own, named `PREFIX-host-pid-random`. */
const PREFIX = 'job-limits';

/** A living process touches its directory this often; one of another host that is this old belongs to nobody. */
const HEARTBEAT_MS = 60_000;
const DEAD_AFTER_MS = 15 * HEARTBEAT_MS;

let removesAtExit = false;
const ours = new Map<string, Promise<string>>();

/** Known to every copy of this package in the process, lest one takes another's directory for a predecessor's. */
const made = ((globalThis as Record<symbol, unknown>)[
  Symbol.for('express-job-limits temporary directories')
] ??= new Set<string>()) as Set<string>;

/**
 * This process's own directory in `parent`, made at the first call and removed when the process exits. What processes
 * that were killed have left in `parent` is removed first.
 *
 * Containers that share both their host name and `parent` can't be told apart by it: give each its own `parent`.
 */
export function ownTempDir(parent: string): Promise<string> {
  let dir = ours.get(parent);
  if (dir === undefined) {
    dir = makeOwn(parent);
    ours.set(parent, dir);
    // A disk that was full or not mounted may be there at the next request.
    dir.catch(() => ours.delete(parent));
  }
  return dir;
}

async function makeOwn(parent: string): Promise<string> {
  await mkdir(parent, { recursive: true });
  await removeLeftovers(parent);
  const dir = join(parent, `${PREFIX}-${host()}-${process.pid}-${randomBytes(6).toString('hex')}`);
  await mkdir(dir, { mode: 0o700 });
  if (!removesAtExit) process.once('exit', removeAllOurs);
  removesAtExit = true;
  made.add(dir);
  systemClock.every(HEARTBEAT_MS, () => {
    const now = new Date();
    void utimes(dir, now, now).catch(() => {});
  });
  return dir;
}

function removeAllOurs(): void {
  for (const dir of made) rmSync(dir, { recursive: true, force: true });
}

/** Removes the directories of processes that are no more. One that can't be removed is left for the next start. */
export async function removeLeftovers(parent: string): Promise<void> {
  const names = await readdir(parent);
  const dead = await Promise.all(names.map((name) => isLeftover(parent, name)));
  const leftovers = names.filter((_, index) => dead[index]);
  await Promise.allSettled(leftovers.map((name) => rm(join(parent, name), { recursive: true, force: true })));
}

const named = new RegExp(`^${PREFIX}-(.+)-(\\d+)-[0-9a-f]{12}$`);

async function isLeftover(parent: string, name: string): Promise<boolean> {
  const [, owner, pid] = named.exec(name) ?? [];
  const dir = join(parent, name);
  if (owner === undefined || pid === undefined || made.has(dir)) return false;
  // In a container a restarted process has its predecessor's pid.
  if (owner === host() && (Number(pid) === process.pid || !isAlive(Number(pid)))) return true;
  const touched = await stat(dir).catch(() => undefined);
  return touched !== undefined && Date.now() - touched.mtimeMs > DEAD_AFTER_MS;
}

function isAlive(pid: number): boolean {
  try {
    process.kill(pid, 0);
    return true;
  } catch (error) {
    return (error as NodeJS.ErrnoException).code === 'EPERM';
  }
}

const host = (): string => hostname().replace(/[^\w.-]/g, '_');
