import fc from 'fast-check';
import { clientAt, clientNamed, type Client } from '../../lib/guard/client-key.js';
import { Guard, type GuardLimits, type GuardOptions } from '../../lib/guard/guard.js';

const T = 10_000;
const client = (number: number, proxied = false): Client =>
  clientAt(`10.0.${number >> 8}.${number & 255}`, { ipv6Subnet: 64, allow: [] }, proxied);
const guardOf = (limits: GuardLimits, options: Partial<GuardOptions> = {}): Guard =>
  new Guard({ ...limits, maxClients: 100, ...options });
const requests = (limit: number): GuardLimits => ({ requests: { limit, windowMs: T } });
const errors = (limit: number): GuardLimits => ({ errors: { limit, windowMs: T } });
const newConnections = (limit: number): GuardLimits => ({ newConnections: { limit, windowMs: T } });

/** How many of `times` requests, sent at once, pass. */
function passing(guard: Guard, who: Client, times: number, now: number): number {
  let passed = 0;
  for (let sent = 0; sent < times; sent += 1) if (guard.requestArrived(who, now).allowed) passed += 1;
  return passed;
}

describe('requests', () => {
  test('exactly the limit passes', () => {
    expect(passing(guardOf(requests(8)), client(1), 20, 0)).toBe(8);
  });

  test('refused ones count too, so a client that goes on stays refused', () => {
    const guard = guardOf(requests(8));
    let passed = 0;
    for (let now = 0; now < 20 * T; now += 500) if (guard.requestArrived(client(1), now).allowed) passed += 1;
    expect(passed).toBe(8);
  });

  test('of one client do not count for another, also not for the same address behind a proxy', () => {
    const guard = guardOf(requests(1));
    expect([client(1), client(2), client(1, true)].map((who) => passing(guard, who, 3, 0))).toEqual([
      1, 1, 1,
    ]);
  });

  test('nobody decides about count as well', () => {
    const guard = guardOf(requests(8));
    for (let sent = 0; sent < 5; sent += 1) guard.requestUndecided(client(1), 0);
    expect(passing(guard, client(1), 20, 0)).toBe(3);
  });
});

describe('errors', () => {
  test('count when they are answered: with a limit of 8 nine 404s in a row pass', () => {
    const guard = guardOf(errors(8));
    let passed = 0;
    for (let sent = 0; sent < 20; sent += 1) {
      if (!guard.requestArrived(client(1), sent).allowed) continue;
      passed += 1;
      guard.responded(client(1), 404, sent);
    }
    expect(passed).toBe(9);
  });

  test.each([
    [200, 0],
    [304, 0],
    [399, 0],
    [400, 1],
    [404, 1],
    [429, 1],
    [499, 1],
    [500, 0],
    [503, 0],
  ])('status %d counts %d', (status, counted) => {
    const guard = guardOf(errors(8));
    guard.responded(client(1), status, 0);
    expect(guard.table(0, 10).map(({ readings }) => readings.errors)).toEqual(counted === 1 ? [1] : []);
  });

  test('a malformed request is one request and one error', () => {
    const guard = guardOf({ ...requests(100), ...errors(100) });
    guard.requestMalformed(client(1), 0);
    expect(guard.table(0, 10)).toMatchObject([{ client: '10.0.0.1', readings: { requests: 1, errors: 1 } }]);
  });

  test('that the guard itself answers are none', () => {
    const guard = guardOf({ ...requests(1), ...errors(100) });
    passing(guard, client(1), 50, 0);
    expect(guard.table(0, 1)[0]).toMatchObject({ readings: { requests: 50, errors: 0 }, refusals: 49 });
  });
});

describe('connections', () => {
  test('opened in the window refuse requests, on old connections too, until the rate is down', () => {
    const guard = guardOf(newConnections(3));
    for (let opened = 0; opened < 3; opened += 1) guard.connectionOpened(client(1), 0);
    expect(guard.requestArrived(client(1), 0).allowed).toBe(true);
    guard.connectionOpened(client(1), 1);
    guard.connectionOpened(client(1), 1);
    const refused = guard.requestArrived(client(1), 2);
    expect(refused).toMatchObject({ allowed: false, violated: ['new-connections'] });
    const wait = refused.allowed ? 0 : refused.retryAfterMs;
    expect(guard.requestArrived(client(1), 2 + wait).allowed).toBe(true);
  });

  test('that are open refuse requests until enough are closed, idle ones among them', () => {
    const guard = guardOf({ openConnections: { limit: 3 } });
    for (let opened = 0; opened < 4; opened += 1) expect(guard.connectionOpened(client(1), 0)).toBe(true);
    expect(guard.requestArrived(client(1), 99 * T)).toMatchObject({
      allowed: false,
      violated: ['open-connections'],
      readings: { 'open-connections': 4 },
      retryAfterMs: 1_000,
    });
    guard.connectionClosed(client(1), 99 * T);
    expect(guard.requestArrived(client(1), 99 * T).allowed).toBe(true);
  });

  test('stay counted through a reset and through any number of other clients', () => {
    const guard = guardOf({ openConnections: { limit: 3 }, ...requests(1_000) });
    guard.connectionOpened(client(1), 0);
    guard.connectionOpened(client(1), 0);
    for (let other = 2; other < 1_000; other += 1) guard.requestArrived(client(other), 0);
    guard.reset();
    expect(guard.openConnections(client(1))).toBe(2);
    guard.connectionClosed(client(1), 0);
    guard.connectionClosed(client(1), 0);
    guard.connectionClosed(client(1), 0);
    expect(guard.openConnections(client(1))).toBe(0);
  });

  test('are not counted where every entry of the table has open ones, and that is told', () => {
    let told = 0;
    const guard = guardOf({ openConnections: { limit: 1 } }, { maxClients: 2, onFull: () => (told += 1) });
    expect([1, 2, 3].map((number) => guard.connectionOpened(client(number), 0))).toEqual([true, true, false]);
    expect(guard.requestArrived(client(3), 0).allowed).toBe(true);
    expect({ untracked: guard.untracked, told }).toEqual({ untracked: 2, told: 2 });
    guard.connectionClosed(client(1), 0);
    expect(guard.connectionOpened(client(3), 0)).toBe(true);
  });
});

describe('a refusal', () => {
  test('names all that refuses, first what takes longest, with the readings', () => {
    const guard = guardOf({ ...requests(2), ...errors(0), openConnections: { limit: 1 } });
    for (let sent = 0; sent < 3; sent += 1) {
      guard.connectionOpened(client(1), 0);
      guard.requestArrived(client(1), 0);
    }
    guard.responded(client(1), 404, 0);
    expect(guard.requestArrived(client(1), 0)).toEqual({
      allowed: false,
      violated: ['errors', 'requests', 'open-connections'],
      readings: { 'open-connections': 3, errors: 1, requests: 4 },
      retryAfterMs: 2 * T + 1,
    });
  });

  test('tells a wait after which a retry alone passes, and before which it does not', () => {
    const limits = { ...requests(5), ...errors(3), ...newConnections(4) };
    const step = fc.record({
      gap: fc.integer({ min: 0, max: 3_000 }),
      opens: fc.boolean(),
      status: fc.constantFrom(200, 404),
    });
    let refusals = 0;
    fc.assert(
      fc.property(fc.array(step, { minLength: 5, maxLength: 60 }), (steps) => {
        const play = (): { guard: Guard; now: number } => {
          const guard = guardOf(limits);
          let now = 0;
          for (const { gap, opens, status } of steps) {
            now += gap;
            if (opens) guard.connectionOpened(client(1), now);
            if (guard.requestArrived(client(1), now).allowed) guard.responded(client(1), status, now);
          }
          return { guard, now };
        };
        const { guard, now } = play();
        const decision = guard.requestArrived(client(1), now);
        if (decision.allowed) return;
        refusals += 1;
        const retryAt = (wait: number): boolean => {
          const again = play().guard;
          again.requestArrived(client(1), now);
          again.connectionOpened(client(1), now + wait);
          return again.requestArrived(client(1), now + wait).allowed;
        };
        expect(retryAt(decision.retryAfterMs)).toBe(true);
        expect(retryAt(Math.ceil(decision.retryAfterMs / 1000) * 1000)).toBe(true);
        if (decision.retryAfterMs > 1.001) expect(retryAt(decision.retryAfterMs - 1.001)).toBe(false);
      }),
      { numRuns: 1_000 },
    );
    expect(refusals).toBeGreaterThan(100);
  });
});

describe('a ban', () => {
  const limits = requests(1_000);

  test('refuses everything until it ends, and says until when', () => {
    const guard = guardOf(limits, { bans: true });
    guard.ban(client(1), 5_000, 0);
    expect(guard.requestArrived(client(1), 1_000)).toMatchObject({ violated: ['ban'], retryAfterMs: 4_000 });
    expect(guard.table(1_000, 10)).toMatchObject([{ client: '10.0.0.1', bannedForMs: 4_000, refusals: 1 }]);
    expect(guard.requestArrived(client(1), 5_000).allowed).toBe(true);
    expect(guard.requestArrived(client(2), 1_000).allowed).toBe(true);
  });

  test('can be lifted, and is forgotten by a reset', () => {
    const guard = guardOf(limits, { bans: true });
    guard.ban(client(1), 5_000, 0);
    guard.ban(client(2), 5_000, 0);
    guard.ban(client(1), 0, 1);
    expect([1, 2].map((number) => guard.requestArrived(client(number), 2).allowed)).toEqual([true, false]);
    guard.reset();
    expect(guard.requestArrived(client(2), 3).allowed).toBe(true);
  });

  test('outlives a flood of other clients', () => {
    const guard = guardOf(limits, { bans: true });
    guard.ban(client(1), 5_000, 0);
    for (let other = 2; other < 1_000; other += 1) guard.requestArrived(client(other), 1);
    expect(guard.requestArrived(client(1), 2).allowed).toBe(false);
  });
});

describe('in a flood of clients', () => {
  test('a client that misbehaves stays refused, though more others than the table holds come between', () => {
    const guard = guardOf(requests(5));
    let next = 1;
    let passed = 0;
    for (let round = 0; round < 300; round += 1) {
      const now = round * 500;
      if (guard.requestArrived(client(0), now).allowed) passed += 1;
      // Until it is refused it is only one of those seen lately, and must not be among the oldest.
      const others = round < 5 ? 50 : 250;
      for (let other = 0; other < others; other += 1) guard.requestArrived(client(next++ % 60_000 || 1), now);
    }
    expect(passed).toBe(5);
    expect(guard.clients).toBe(100);
    expect(guard.table(300 * 500, 1)).toMatchObject([{ client: '10.0.0.0', refusals: 295 }]);
  });

  test.each(['refused', 'banned'])('a %s client is remembered when it closes its connections', (how) => {
    const guard = guardOf(requests(5), { bans: true });
    guard.connectionOpened(client(0), 0);
    passing(guard, client(0), how === 'refused' ? 6 : 1, 0);
    if (how === 'banned') guard.ban(client(0), 5_000, 0);
    guard.connectionClosed(client(0), 1);
    for (let other = 1; other < 1_000; other += 1) guard.requestArrived(client(other), 2);
    expect(guard.requestArrived(client(0), 3).allowed).toBe(false);
  });

  test('refused clients that have gone do not fill the table for good', () => {
    const guard = guardOf(requests(1));
    for (let number = 0; number < 100; number += 1) passing(guard, client(number), 2, 0);
    const later = 2 * T + 1;
    expect(passing(guard, client(500), 2, later)).toBe(1);
    for (let number = 600; number < 650; number += 1) guard.requestArrived(client(number), later);
    // Still known, so still refused: the newcomers took the places of those whose refusals are over.
    expect(guard.requestArrived(client(500), later).allowed).toBe(false);
  });
});

describe('the table', () => {
  test('lists the worst offenders by their load, named clients by their names once they were refused', () => {
    const guard = guardOf({ ...requests(10), ...errors(2) });
    passing(guard, client(1), 5, 0);
    guard.responded(client(2), 404, 0);
    guard.responded(client(2), 404, 0);
    passing(guard, clientNamed('acme'), 20, 0);
    expect(guard.table(0, 2)).toEqual([
      { client: 'acme', proxied: true, readings: { errors: 0, requests: 20 }, load: 2, refusals: 10 },
      { client: '10.0.0.2', proxied: false, readings: { errors: 2, requests: 0 }, load: 1, refusals: 0 },
    ]);
    expect(guard.table(0, 10).map((row) => row.client)).toEqual(['acme', '10.0.0.2', '10.0.0.1']);
  });

  test('reserves at most 100 bytes a client with every trigger and bans on, whatever its capacity', () => {
    for (let capacity = 1_000; capacity < 200_000; capacity = Math.ceil(capacity * 1.07)) {
      const guard = new Guard({
        ...requests(1),
        ...errors(1),
        ...newConnections(1),
        openConnections: { limit: 1 },
        maxClients: capacity,
        bans: true,
      });
      expect(guard.bytes / capacity).toBeLessThanOrEqual(100);
    }
  });
});
