import { request } from 'node:http';
import { once } from 'node:events';
import type { CustomerUsage } from '../../lib/index.js';
import { listen } from '../support/http.js';
import { plansFile } from '../support/media-api.js';
import { requireProgram } from '../support/services.js';
import { spawned, type Spawned } from '../support/spawned.js';

const curl = requireProgram('curl');

const started: Spawned[] = [];

/** Starts the example on the sources, so that the test needs no build. */
function start(env: Record<string, string>): Spawned {
  const server = spawned(process.execPath, ['--import', 'tsx', 'examples/media-api/server.ts'], env);
  started.push(server);
  return server;
}

afterAll(() => Promise.all(started.map((child) => child.stop())));

// Each start is a process of its own, which on a busy machine takes seconds.
jest.setTimeout(30_000);

const limitsOf = async (url: string, key: string): Promise<CustomerUsage> =>
  (await (
    await fetch(`${url}/limits`, { headers: { Authorization: `Bearer ${key}` } })
  ).json()) as CustomerUsage;

describe('the server, by its own plans', () => {
  let server: Spawned;
  let commands: string[];

  beforeAll(async () => {
    server = start({ PORT: '0', JOB_MS: '60000', PLANS: '' });
    await server.printed(/curl .*\/limits.*\n/);
    commands = server.output().match(/^curl .*$/gm)!;
  });

  it('prints where it is, its pid and five commands', async () => {
    const [, url, pid] = await server.printed(/(http:\/\/127\.0\.0\.1:\d+) \(pid (\d+)\)/);
    expect(Number(pid)).toBe(server.process.pid);
    expect(commands).toHaveLength(5);
    for (const command of commands) expect(command).toContain(url!);
  });

  const withCurl = curl === undefined ? it.skip : it;
  // Pasted a second time they still show the same, but for the refusal by the rate, which is all refused then.
  withCurl.each([1, 2])('whose commands do what it says, time %d', async (time) => {
    const paste = async (command: string): Promise<string> => {
      const shell = spawned('sh', ['-c', command]);
      expect(await shell.ended()).toBe(0);
      return shell.output();
    };
    const statuses = (output: string): string[] => output.match(/(?<=^HTTP\/1\.1 )\d+/gm)!;
    const [creation, tooMany, refusal, , where] = commands;
    const created = await paste(creation!);
    expect(statuses(created)).toEqual(['200']);
    expect(created).toContain('ASSEMBLY_EXECUTING');
    const body = await paste(tooMany!);
    expect(statuses(body)).toEqual(['413']);
    expect(body).toContain('"error":"TOO_MANY_URLS"');
    expect(body).toContain('"info":{"limit":"url-count","allowed":100,"received":101}');
    const refused = await paste(refusal!);
    const before = time === 1 ? '200' : '413';
    expect(statuses(refused)).toEqual([before, before, before, '413']);
    expect(refused).toContain('"error":"RATE_LIMIT_REACHED"');
    expect(refused).toMatch(/^Retry-After: \d+/m);
    const standing = await paste(where!);
    expect(statuses(standing)).toEqual(['200']);
    expect(standing).toContain(
      '"name":"creation-rate","kind":"creation-rate","limit":3,"used":3,"remaining":0',
    );
  });

  it('answers what is under way when it is told to end, and ends with 0', async () => {
    const [url] = await server.printed(/http:\/\/127\.0\.0\.1:\d+/);
    const open = request(`${url}/assemblies`, {
      method: 'POST',
      headers: { Authorization: 'Bearer acme', 'Content-Type': 'application/json', Expect: '100-continue' },
    });
    open.flushHeaders();
    // The request has arrived when the server asks for its body.
    await once(open, 'continue');
    server.process.kill('SIGTERM');
    await server.printed(/SIGTERM: closing/);
    open.end('{"urls":[]}');
    const [response] = (await once(open, 'response')) as [import('node:http').IncomingMessage];
    response.resume();
    expect(response.statusCode).toBe(200);
    expect(await server.ended()).toBe(0);
  });
});

describe('what jobs leave behind', () => {
  const withCurl = curl === undefined ? it.skip : it;
  withCurl('can be read until it expires, as the fourth command shows, and is deleted then', async () => {
    const file = plansFile({
      plans: { brief: { jobRetention: { results: '4s', metadata: '6s' } } },
      customers: { visitor: 'brief' },
    });
    const server = start({ PORT: '0', JOB_MS: '500', PLANS: file.path });
    await server.printed(/curl .*\/limits.*\n/);
    const [, command] = server.output().match(/^curl .*$/gm)!;
    const shell = spawned('sh', ['-c', command!.replace('sleep 2', 'sleep 0.2')]);
    started.push(shell);
    expect(await shell.ended()).toBe(0);
    const statuses = shell
      .output()
      .match(/(?<=^HTTP\/1\.1 )\d+/gm)!
      .map(Number);
    const [created, ...reads] = statuses;
    expect(created).toBe(200);
    // Perhaps not completed at first; then there, then gone.
    expect([...new Set(reads)].filter((status) => status !== 400)).toEqual([200, 410]);
    expect(shell.output()).toMatch(/^Sunset: /m);
    expect(shell.output()).toContain('"error":"JOB_EXPIRED"');
    await server.printed(
      /Deleted the results of visitor's job kept\.\n[^]*Deleted the metadata of visitor's job kept\.\n/,
    );
    server.process.kill('SIGTERM');
    expect(await server.ended()).toBe(0);
    file.remove();
  });
});

describe('PLANS', () => {
  it('are read again on SIGHUP; wrong ones are told and the old stay', async () => {
    const limitedTo = (limit: number) => ({
      plans: { mine: { creationRate: { limit, window: '1m' } } },
      customers: { acme: 'mine' },
    });
    const file = plansFile(limitedTo(3));
    const server = start({ PORT: '0', PLANS: file.path });
    const [url] = await server.printed(/http:\/\/127\.0\.0\.1:\d+/);
    const limit = async (): Promise<unknown> => (await limitsOf(url, 'acme')).limits[0]!.limit;
    expect(await limit()).toBe(3);

    for (const [wrong, told] of [
      ['{', /plans stay as they are. .*plans\.json: .*JSON/],
      [limitedTo(-3), /plans stay as they are. plans\.mine\.creationRate\.limit/],
      [{ ...limitedTo(3), default: 'yours' }, /plans stay as they are. .*default has the plan "yours"/],
      [{ ...limitedTo(3), costumers: {} }, /plans stay as they are. .*'costumers' is none of/],
    ] as const) {
      file.write(wrong);
      server.process.kill('SIGHUP');
      await server.printed(told);
      expect(await limit()).toBe(3);
    }

    file.write(limitedTo(5));
    server.process.kill('SIGHUP');
    await server.printed(/The plans were read again/);
    expect(await limit()).toBe(5);

    server.process.kill('SIGINT');
    expect(await server.ended()).toBe(0);
    file.remove();
  });
});

describe('what can be wrong at the start is told in one line', () => {
  it('a port that is in use', async () => {
    const other = await listen(() => {});
    const server = start({ PORT: String(other.port) });
    const code = await server.ended();
    await other.close();
    expect(code).toBe(1);
    expect(server.output()).toBe(`Port ${other.port} is in use. Set PORT to another one.\n`);
  });

  it.each<[Record<string, string>, string]>([
    [{ PORT: 'http' }, "PORT must be a whole number from 0 to 65535, not 'http'.\n"],
    [{ JOB_MS: '-1' }, "JOB_MS must be a whole number from 0 to 2147483647, not '-1'.\n"],
    [{ PLANS: '/nowhere.json' }, "/nowhere.json: ENOENT: no such file or directory, open '/nowhere.json'\n"],
  ])('%j', async (env, told) => {
    const server = start(env);
    expect(await server.ended()).toBe(1);
    expect(server.output()).toBe(told);
  });
});
