import { RateLimiterMemory } from 'rate-limiter-flexible';
import { countBans, type BanLimiter, type Bans, type BanSettings } from '../../lib/guard/bans.js';
import { clientAt, type Client } from '../../lib/guard/client-key.js';

const clientOf = (address: string): Client => clientAt(address, { ipv6Subnet: 64, allow: [] }, false);
const client = clientOf('203.0.113.9');
const settled = (): Promise<void> => new Promise((resolve) => setImmediate(resolve));

interface Process {
  bans: Bans;
  bannedFor: { client: string; forMs: number; began: boolean }[];
  errors: unknown[];
}

function processWith(settings: Partial<BanSettings>): Process {
  const bannedFor: Process['bannedFor'] = [];
  const errors: unknown[] = [];
  const bans = countBans(
    { after: 5, windowMs: 60_000, forMs: 3_600_000, ...settings },
    {
      banned: ({ name }, forMs, began) => bannedFor.push({ client: name, forMs, began }),
      failed: (error) => errors.push(error),
    },
  );
  return { bans, bannedFor, errors };
}

async function refuse({ bans }: Process, times: number, who = client): Promise<void> {
  for (let time = 0; time < times; time += 1) {
    bans.refused(who);
    await settled();
  }
}

/** Counts calls, and answers only when told to. */
function slowLimiter(): { limiter: BanLimiter; calls: number[]; answer: () => Promise<void> } {
  const inner = new RateLimiterMemory({ points: 1, duration: 1 });
  const calls: number[] = [];
  let release: (() => void)[] = [];
  const limiter: BanLimiter = {
    async penalty(key, points, options) {
      calls.push(points);
      await new Promise<void>((resolve) => release.push(resolve));
      return inner.penalty(key, points, options);
    },
    set: (key, points, seconds) => inner.set(key, points, seconds),
    delete: (key) => inner.delete(key),
  };
  return {
    limiter,
    calls,
    async answer() {
      const waiting = release;
      release = [];
      waiting.forEach((resolve) => resolve());
      await settled();
    },
  };
}

describe('a ban', () => {
  test('begins with the refusal asked for, for the time asked for', async () => {
    const process = processWith({});
    await refuse(process, 4);
    expect(process.bannedFor).toEqual([]);
    await refuse(process, 1);
    expect(process.bannedFor).toEqual([{ client: '203.0.113.9', forMs: 3_600_000, began: true }]);
    await refuse(process, 4, clientOf('203.0.113.10'));
    expect(process.bannedFor).toHaveLength(1);
  });

  test('is learnt by another process at its first refusal, with what is left of it', async () => {
    const limiter = new RateLimiterMemory({ points: 1, duration: 1 });
    const [first, second] = [processWith({ limiter }), processWith({ limiter })];
    await refuse(first, 5);
    await refuse(second, 1);
    expect(second.bannedFor).toMatchObject([{ client: '203.0.113.9', began: false }]);
    const left = second.bannedFor[0]!.forMs;
    expect(left).toBeGreaterThan(3_500_000);
    expect(left).toBeLessThanOrEqual(3_600_000);
  });

  test('begins when the refusals of several processes are enough together', async () => {
    const limiter = new RateLimiterMemory({ points: 1, duration: 1 });
    const processes = [processWith({ limiter }), processWith({ limiter }), processWith({ limiter })];
    for (const process of processes) await refuse(process, 2);
    expect(processes.map(({ bannedFor }) => bannedFor.map(({ began }) => began))).toEqual([
      [],
      [],
      [true, false],
    ]);
  });

  test('lifted is forgotten where it is kept', async () => {
    const limiter = new RateLimiterMemory({ points: 1, duration: 1 });
    const [first, second] = [processWith({ limiter }), processWith({ limiter })];
    await refuse(first, 5);
    await first.bans.lift('203.0.113.9');
    await refuse(second, 4);
    expect(second.bannedFor).toEqual([]);
  });

  test('counted in this process is forgotten by a reset', async () => {
    const process = processWith({});
    await refuse(process, 4);
    process.bans.reset();
    await refuse(process, 4);
    expect(process.bannedFor).toEqual([]);
  });
});

describe('the limiter', () => {
  test('is asked once at a time for a client, with all refusals since', async () => {
    const { limiter, calls, answer } = slowLimiter();
    const process = processWith({ limiter, after: 100 });
    for (let refusal = 0; refusal < 60; refusal += 1) process.bans.refused(client);
    expect(calls).toEqual([1]);
    await answer();
    expect(calls).toEqual([1, 59]);
    await answer();
    process.bans.refused(client);
    await answer();
    expect(calls).toEqual([1, 59, 1]);
    expect(process.bannedFor).toEqual([]);
  });

  test('is asked for 1,000 clients at once at most', async () => {
    const { limiter, calls, answer } = slowLimiter();
    const process = processWith({ limiter });
    for (let number = 0; number < 1_500; number += 1) {
      process.bans.refused(clientOf(`10.1.${number >> 8}.${number & 255}`));
    }
    expect(calls).toHaveLength(1_000);
    await answer();
    process.bans.refused(clientOf('10.2.0.1'));
    expect(calls).toHaveLength(1_001);
    await answer();
  });

  test('that fails is told of, and the process counts alone', async () => {
    const down = new Error('down');
    const limiter: BanLimiter = {
      penalty: () => Promise.reject(down),
      set: () => Promise.reject(down),
      delete: () => Promise.reject(down),
    };
    const process = processWith({ limiter });
    await refuse(process, 5);
    expect(process.errors).toEqual(Array(5).fill(down));
    expect(process.bannedFor).toMatchObject([{ forMs: 3_600_000, began: true }]);
  });
});
