import { execFile, spawn, type ChildProcess } from 'node:child_process';
import { mkdtempSync, rmSync } from 'node:fs';
import { createServer, type AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { setTimeout as delay } from 'node:timers/promises';
import { promisify } from 'node:util';

const run = promisify(execFile);

/** A port that was free a moment ago, and whose Cluster bus port exists. */
export async function freePort(): Promise<number> {
  for (;;) {
    const server = createServer().listen(0, '127.0.0.1');
    await new Promise((resolve) => server.once('listening', resolve));
    const { port } = server.address() as AddressInfo;
    await new Promise((resolve) => server.close(resolve));
    if (port < 55_000) return port;
  }
}

/** A redis-server process of our own, with a folder of its own, on 127.0.0.1. */
export class RedisServer {
  #process: ChildProcess | undefined;
  #exited: Promise<unknown> = Promise.resolve();

  private constructor(
    readonly port: number,
    readonly folder: string,
    readonly args: string[],
  ) {}

  static async start(...args: string[]): Promise<RedisServer> {
    const folder = mkdtempSync(join(tmpdir(), 'job-limits-redis-'));
    const server = new RedisServer(await freePort(), folder, args);
    await server.start();
    return server;
  }

  /** Starts it, again after `kill`. Its data is there if it was saved. */
  async start(): Promise<void> {
    const args = ['--port', String(this.port), '--bind', '127.0.0.1', '--dir', this.folder, '--save', ''];
    const child = spawn('redis-server', [...args, '--loglevel', 'warning', ...this.args], {
      stdio: 'ignore',
    });
    this.#process = child;
    const kill = (): void => void child.kill('SIGKILL');
    process.once('exit', kill);
    child.once('exit', () => process.off('exit', kill));
    this.#exited = new Promise((resolve) => child.once('exit', resolve));
    await until(async () => (await this.cli('PING')).includes('PONG'), `redis-server on ${this.port}`);
  }

  /** What redis-cli answers. */
  async cli(...args: string[]): Promise<string> {
    return (await run('redis-cli', ['-p', String(this.port), ...args])).stdout.trim();
  }

  signal(signal: NodeJS.Signals): void {
    this.#process?.kill(signal);
  }

  /** As a crash: nothing is saved. */
  async kill(): Promise<void> {
    this.signal('SIGKILL');
    await this.#exited;
  }

  async stop(): Promise<void> {
    this.signal('SIGCONT');
    await this.kill();
    rmSync(this.folder, { recursive: true, force: true });
  }
}

/** A Redis Cluster of three masters of our own. */
export class RedisCluster {
  private constructor(readonly servers: RedisServer[]) {}

  static async start(): Promise<RedisCluster> {
    const args = [
      '--cluster-enabled',
      'yes',
      '--cluster-node-timeout',
      '1000',
      '--cluster-require-full-coverage',
      'no',
    ];
    const servers = await Promise.all([0, 1, 2].map(() => RedisServer.start(...args)));
    const addresses = servers.map(({ port }) => `127.0.0.1:${port}`);
    await run('redis-cli', ['--cluster', 'create', ...addresses, '--cluster-yes']);
    for (const server of servers) {
      await until(
        async () => (await server.cli('CLUSTER', 'INFO')).includes('cluster_state:ok'),
        'the Cluster',
      );
    }
    return new RedisCluster(servers);
  }

  get nodes(): { host: string; port: number }[] {
    return this.servers.map(({ port }) => ({ host: '127.0.0.1', port }));
  }

  async stop(): Promise<void> {
    await Promise.all(this.servers.map((server) => server.stop()));
  }
}

/** Waits until that holds. Errors count as no. */
export async function until(
  holds: () => Promise<boolean> | boolean,
  what: string,
  withinMs = 10_000,
): Promise<void> {
  const end = Date.now() + withinMs;
  for (;;) {
    try {
      if (await holds()) return;
    } catch {
      // Not yet.
    }
    if (Date.now() > end) throw new Error(`${what} was not ready within ${withinMs} ms`);
    await delay(20);
  }
}
