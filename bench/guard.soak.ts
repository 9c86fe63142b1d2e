import { clientAt, type Client } from '../lib/guard/client-key.js';
import { Guard } from '../lib/guard/guard.js';
import { median } from './support/table.js';

// Ten million distinct clients pass through a table of 100,000 while one client misbehaves and another does not.

const FLOOD = 10_000_000;
const maxClients = 100_000;
const rules = { ipv6Subnet: 64, allow: [] };

const collect = (globalThis as { gc?: () => void }).gc ?? ((): void => {});
const residentAfterCollecting = (): number => {
  collect();
  return process.memoryUsage().rss;
};

const rate = { limit: 100, windowMs: 10_000 };
const guardFor = (maxClients: number): Guard =>
  new Guard({
    openConnections: { limit: 50 },
    newConnections: rate,
    errors: rate,
    requests: rate,
    maxClients,
    bans: true,
  });

/** Sends distinct clients through the guard and returns how many requests of the misbehaving one passed. */
function flood(guard: Guard, took: Float64Array, seen: (number: number) => void): number {
  // The clients' keys by hand, since what is measured is the table and not the parsing of addresses.
  const client: Client = { ...clientAt('10.0.0.0', rules, false) };
  const misbehaving = clientAt('203.0.113.9', rules, false);
  let now = 0;
  let passed = 0;
  for (let sent = 0; sent <= rate.limit; sent += 1) guard.requestArrived(misbehaving, now);
  for (let number = 0; number < took.length; number += 1) {
    // A million clients a second: in IPv4 order, with an error and a connection now and then.
    now += 0.001;
    client.low = (0x0b000000 + number) >>> 0;
    const started = performance.now();
    guard.requestArrived(client, now);
    took[number] = performance.now() - started;
    if (number % 3 === 0) guard.responded(client, 404, now);
    if (number % 5 === 0 && guard.connectionOpened(client, now)) guard.connectionClosed(client, now);
    // It goes on a little above its limit, so that it stays refused by its requests alone.
    if (number % 90_000 === 0 && guard.requestArrived(misbehaving, now).allowed) passed += 1;
    if (number % 1_000_000 === 0) seen(number);
  }
  return passed;
}

function main(): void {
  console.log(
    `Node ${process.version}, a table of ${maxClients} clients, ${FLOOD} distinct ones in a flood\n`,
  );
  // Touched now, and the code run once, so that the measuring itself adds nothing to what is resident later.
  const took = new Float64Array(FLOOD).fill(1);
  flood(guardFor(1_000), took.subarray(0, 1_000_000), () => {});
  const before = residentAfterCollecting();
  const guard = guardFor(maxClients);
  let highest = 0;
  const passed = flood(guard, took, () => (highest = Math.max(highest, process.memoryUsage().rss)));
  const grown = residentAfterCollecting() - before;
  took.sort();
  const at = (share: number): string => (took[Math.floor(FLOOD * share)]! * 1000).toFixed(2);
  console.log(
    `a decision: median ${at(0.5)} µs, p99 ${at(0.99)} µs, p99.9 ${at(0.999)} µs (the clock's own ${clockCost()} µs)`,
  );
  console.log(`reserved: ${mb(guard.bytes)}, ${(guard.bytes / maxClients).toFixed(1)} bytes a client`);
  console.log(
    `resident memory grew by ${mb(grown)}, ${(grown / maxClients).toFixed(1)} bytes a client; ` +
      `by ${mb(highest - before)} at the highest while it ran`,
  );
  console.log(`clients in the table: ${guard.clients}`);
  console.log(`requests of the misbehaving client that passed in the flood: ${passed}`);
  console.log(`a client and its decision, from an address as text: ${parsedCost(guard, FLOOD * 0.001)}`);
}

/** The same with the address parsed, where nothing is remembered of it: a million IPv6 networks. */
function parsedCost(guard: Guard, start: number): string {
  const times: number[] = [];
  for (let number = 0; number < 1_000_000; number += 1) {
    const address = `2001:db8:${(number >> 16).toString(16)}:${(number & 0xffff).toString(16)}::1`;
    const started = performance.now();
    guard.requestArrived(clientAt(address, rules, false), start + number * 0.001);
    times.push((performance.now() - started) * 1000);
  }
  times.sort((a, b) => a - b);
  return `median ${times[500_000]!.toFixed(2)} µs, p99 ${times[990_000]!.toFixed(2)} µs`;
}

const mb = (bytes: number): string => `${(bytes / 1e6).toFixed(1)} MB`;

function clockCost(): string {
  const costs = Array.from({ length: 100_000 }, () => {
    const started = performance.now();
    return performance.now() - started;
  });
  return (median(costs) * 1000).toFixed(2);
}

main();
