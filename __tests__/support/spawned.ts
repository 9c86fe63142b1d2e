import { spawn, type ChildProcess } from 'node:child_process';
import { once } from 'node:events';
import { join } from 'node:path';

/** A child process, with all that it printed. */
export interface Spawned {
  process: ChildProcess;
  output(): string;
  /** Waits until the output matches, and gives the match. Fails when the process ends before. */
  printed(what: RegExp): Promise<RegExpExecArray>;
  /** Waits for its end and gives the exit code, or the signal that ended it. */
  ended(): Promise<number | string>;
  /** Ends it if it still runs. */
  stop(): Promise<void>;
}

/** Starts a program in the package's folder. */
export function spawned(command: string, args: string[], env: Record<string, string> = {}): Spawned {
  const child = spawn(command, args, {
    cwd: join(__dirname, '../..'),
    env: { ...process.env, ...env },
    stdio: ['ignore', 'pipe', 'pipe'],
  });
  const end = once(child, 'close') as Promise<[number | null, string | null]>;
  let output = '';
  const watchers = new Set<() => void>();
  const add = (chunk: Buffer): void => {
    output += chunk.toString();
    for (const watcher of watchers) watcher();
  };
  child.stdout.on('data', add);
  child.stderr.on('data', add);
  return {
    process: child,
    output: () => output,
    printed: (what) =>
      new Promise((resolve, reject) => {
        const look = (): void => {
          const match = what.exec(output);
          if (match === null) return;
          watchers.delete(look);
          resolve(match);
        };
        watchers.add(look);
        look();
        end.then(() => reject(new Error(`ended without printing ${what}:\n${output}`)), reject);
      }),
    ended: async () => {
      const [code, signal] = await end;
      return code ?? signal ?? 'unknown';
    },
    stop: async () => {
      if (child.exitCode === null && child.signalCode === null) child.kill('SIGKILL');
      await end;
    },
  };
}
