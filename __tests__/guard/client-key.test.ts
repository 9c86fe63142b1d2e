import fc from 'fast-check';
import { clientAt, clientNamed, kinds, nameOf, parseRange, type Range } from '../../lib/guard/client-key.js';

const rules = (ranges: string[] = [], ipv6Subnet = 64) => ({
  ipv6Subnet,
  allow: ranges.map((range) => parseRange(range) as Range),
});
const nameAt = (address: string, ipv6Subnet = 64): string =>
  clientAt(address, rules([], ipv6Subnet), false).name;

describe('the client at an address', () => {
  test.each([
    ['203.0.113.9', '203.0.113.9'],
    ['::ffff:203.0.113.9', '203.0.113.9'],
    ['::FFFF:cb00:7109', '203.0.113.9'],
    ['203.0.113.9:50123', '203.0.113.9'],
    ['2001:db8:1:2:3:4:5:6', '2001:db8:1:2::/64'],
    ['2001:db8:1:2::', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2::7]:443', '2001:db8:1:2::/64'],
    ['[2001:db8:1:2::7]', '2001:db8:1:2::/64'],
    ['fe80::1%eth0', 'fe80::/64'],
    ['::1', '::/64'],
    ['', 'unknown'],
    ['1', 'unknown'],
    ['0x7f.1', 'unknown'],
    ['203.0.113', 'unknown'],
    ['203.0.113.9, 10.0.0.1', 'unknown'],
    ['_hidden', 'unknown'],
    ['unknown', 'unknown'],
  ])('%s is %s', (address, name) => {
    expect(nameAt(address)).toBe(name);
  });

  test('is the network of the length asked for, whatever the bits below', () => {
    expect(nameAt('2001:db8:1234:ffff::1', 48)).toBe('2001:db8:1234::/48');
    expect(nameAt('2001:db8:1234:ffff::1', 52)).toBe('2001:db8:1234:f000::/52');
    expect(nameAt('2001:db8:1234:ffff::1', 60)).toBe('2001:db8:1234:fff0::/60');
    expect(nameAt('2001:db8:1234:ffff::1', 16)).toBe('2001::/16');
  });

  test('has a key of its own, from which its name can be told again', () => {
    const word = fc.integer({ min: 0, max: 0xffff });
    const address = fc.oneof(
      fc.tuple(fc.nat(255), fc.nat(255), fc.nat(255), fc.nat(255)).map((parts) => parts.join('.')),
      fc
        .tuple(word, word, word, word)
        .filter((parts) => parts.some((part) => part > 0))
        .map((parts) => `${parts.map((part) => part.toString(16)).join(':')}:0:0:0:1`),
    );
    const names = new Map<string, string>();
    fc.assert(
      fc.property(address, fc.boolean(), (text, proxied) => {
        const client = clientAt(text, rules(), proxied);
        expect(nameOf(client, 64)).toBe(client.name);
        const key = `${client.kind} ${client.high} ${client.low}`;
        expect(names.get(key) ?? client.name).toBe(client.name);
        names.set(key, client.name);
      }),
      { numRuns: 1_000 },
    );
  });

  test('is another one through a proxy, since its connections are counted otherwise', () => {
    const direct = clientAt('203.0.113.9', rules(), false);
    const proxied = clientAt('203.0.113.9', rules(), true);
    expect(proxied).toEqual({ ...direct, kind: direct.kind + kinds.proxied, proxied: true });
  });
});

describe('a client that the application names', () => {
  test('has a key by its whole name', () => {
    const keys = new Set<string>();
    for (let number = 0; number < 10_000; number += 1) {
      const { kind, high, low } = clientNamed(`customer ${number}`);
      keys.add(`${kind} ${high} ${low}`);
    }
    expect(keys.size).toBe(10_000);
    expect(clientNamed('a')).toEqual(clientNamed('a'));
  });

  test('never meets an address, and cannot be told from its key', () => {
    expect(clientNamed('203.0.113.9').kind).not.toBe(clientAt('203.0.113.9', rules(), true).kind);
    expect(nameOf(clientNamed('a'), 64)).toBeUndefined();
  });

  test('is kept under a hash where the name is long', () => {
    const name = 'x'.repeat(100_000);
    expect(clientNamed(name).name).toMatch(/^sha256:[0-9a-f]{64}$/);
    expect(clientNamed(name)).not.toEqual(clientNamed(`${name}y`));
  });
});

describe('an allowed range', () => {
  test.each([
    ['10.0.0.0/8', '10.255.0.1', true],
    ['10.0.0.0/8', '11.0.0.1', false],
    ['10.0.0.0/8', '::ffff:10.1.1.1', true],
    ['::ffff:10.0.0.0/104', '10.1.1.1', true],
    ['192.0.2.1', '192.0.2.1', true],
    ['192.0.2.1', '192.0.2.2', false],
    // One address of a /64 may be allowed without its neighbours.
    ['2001:db8::1', '2001:db8::1', true],
    ['2001:db8::1', '2001:db8::2', false],
    ['2001:db8::/32', '2001:db8:ffff::2', true],
    ['0.0.0.0/0', '2001:db8::1', false],
  ])('%s: is %s in it? %s', (range, address, allowed) => {
    expect(clientAt(address, rules([range]), false).allowed).toBe(allowed);
  });

  test.each([
    '',
    '10.0.0.0/33',
    '10.0.0.0/',
    '10.0.0/8',
    '10/8',
    '2001:db8::/129',
    '::ffff:0.0.0.0/90',
    'x',
    '1.2.3.4/8/8',
  ])('%j is none', (text) => expect(parseRange(text)).toBeUndefined());
});
