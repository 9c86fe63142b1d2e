import fc from 'fast-check';
import type { ClientKey } from '../../lib/guard/client-key.js';
import { ClientTable, standing, type Standing } from '../../lib/guard/client-table.js';

// Neighbouring numbers differ in one part of the key only, so that a part which isn't compared shows.
const keyOf = (number: number): ClientKey => ({
  kind: number % 4,
  low: Math.floor(number / 4) % 4,
  high: Math.floor(number / 16),
});

/** A table whose entries are over when `over` says so, by entry number. */
function tableOf(capacity: number, over = new Set<number>()): { table: ClientTable; cleared: number[] } {
  const cleared: number[] = [];
  const table = new ClientTable(capacity, {
    clear: (index) => cleared.push(index),
    isOver: (index) => over.has(index),
  });
  return { table, cleared };
}

describe('the client table', () => {
  test('finds what was claimed, never twice in one entry, while it churns through many more clients than it holds', () => {
    fc.assert(
      fc.property(
        fc.integer({ min: 1, max: 40 }),
        fc.array(fc.integer({ min: 0, max: 120 }), { minLength: 1, maxLength: 400 }),
        (capacity, numbers) => {
          const { table } = tableOf(capacity);
          // The same, as a Map in order of claiming: its first key is the oldest.
          const model = new Map<number, number>();
          for (const number of numbers) {
            expect(table.find(keyOf(number))).toBe(model.get(number) ?? -1);
            const index = table.claim(keyOf(number), 0);
            const known = model.get(number);
            if (known === undefined && model.size === capacity) model.delete(model.keys().next().value!);
            if (known === undefined) model.set(number, index);
            else expect(index).toBe(known);
          }
          expect(table.size).toBe(model.size);
          expect(new Set(model.values()).size).toBe(model.size);
          for (const [number, index] of model) {
            expect(table.find(keyOf(number))).toBe(index);
            expect(table.keyOf(index)).toEqual(keyOf(number));
          }
        },
      ),
      { numRuns: 300 },
    );
  });

  test('does not take keys that differ in one part for the same', () => {
    const { table } = tableOf(10);
    const keys = [
      { kind: 0, high: 1, low: 2 },
      { kind: 1, high: 1, low: 2 },
      { kind: 0, high: 2, low: 1 },
      { kind: 0, high: 0, low: 2 },
    ];
    const entries = keys.map((key) => table.claim(key, 0));
    expect(new Set(entries).size).toBe(keys.length);
    expect(keys.map((key) => table.find(key))).toEqual(entries);
  });

  test('clears an entry before a new client has it', () => {
    const { table, cleared } = tableOf(2);
    const first = table.claim(keyOf(1), 0);
    table.claim(keyOf(2), 0);
    cleared.length = 0;
    expect(table.claim(keyOf(3), 0)).toBe(first);
    expect(cleared).toEqual([first]);
  });

  describe('makes room', () => {
    // Four clients, one in each standing, and what goes as more clients come.
    function filled(over = new Set<number>()): ClientTable {
      const { table } = tableOf(5, over);
      const standings: Standing[] = [
        standing.pinned,
        standing.banned,
        standing.refused,
        standing.idle,
        standing.idle,
      ];
      standings.forEach((where, number) => table.place(table.claim(keyOf(number), 0), where));
      return table;
    }
    const present = (table: ClientTable): number[] =>
      [0, 1, 2, 3, 4].filter((number) => table.find(keyOf(number)) >= 0);

    test('by the oldest idle, then refused, then banned client, and never by one with open connections', () => {
      const table = filled();
      const left: number[][] = [];
      for (let newcomer = 10; newcomer < 14; newcomer += 1) {
        const index = table.claim(keyOf(newcomer), 0);
        table.place(index, standing.pinned);
        left.push(present(table));
      }
      expect(left).toEqual([[0, 1, 2, 4], [0, 1, 2], [0, 1], [0]]);
      expect(table.claim(keyOf(14), 0)).toBe(-1);
      expect(table.find(keyOf(14))).toBe(-1);
    });

    test('by a refused or banned client first, once that is over', () => {
      const table = filled(new Set([1, 2]));
      table.claim(keyOf(10), 0);
      expect(present(table)).toEqual([0, 2, 3, 4]);
      table.claim(keyOf(11), 0);
      expect(present(table)).toEqual([0, 3, 4]);
    });

    test('by the client that has been quiet for longest', () => {
      const { table } = tableOf(3);
      const entries = [1, 2, 3].map((number) => table.claim(keyOf(number), 0));
      table.place(entries[0]!, standing.idle);
      table.claim(keyOf(4), 0);
      table.claim(keyOf(5), 0);
      expect([1, 2, 3].map((number) => table.find(keyOf(number)) >= 0)).toEqual([true, false, false]);
    });
  });

  test('keeps its lists whole whatever order entries move in', () => {
    fc.assert(
      fc.property(fc.array(fc.tuple(fc.nat(7), fc.constantFrom(0, 1, 2, 3)), { maxLength: 200 }), (moves) => {
        const { table } = tableOf(8);
        for (let number = 0; number < 8; number += 1) table.claim(keyOf(number), 0);
        const lists: number[][] = [[0, 1, 2, 3, 4, 5, 6, 7], [], [], []];
        for (const [index, where] of moves) {
          table.place(index, where);
          lists.forEach((list, at) => (lists[at] = list.filter((entry) => entry !== index)));
          lists[where]!.push(index);
          expect(table.standingOf(index)).toBe(where);
        }
        // Pinning each newcomer makes the table give its entries in the order in which it would miss them least.
        const order = [...lists[0]!, ...lists[1]!, ...lists[2]!];
        const given = order.map((_, at) => {
          const entry = table.claim(keyOf(100 + at), 0);
          table.place(entry, standing.pinned);
          return entry;
        });
        expect(given).toEqual(order);
        expect(table.claim(keyOf(999), 0)).toBe(-1);
      }),
    );
  });
});
