import { stateTable } from '../../lib/testing/contract/states.js';
import { read, tables } from './markdown.js';

type Row = [operation: string, cells: Record<string, string>];

/** Cells read `answer → state, rate/slots`. */
const cell = ([answer, after, rate, slots]: [string, string, number, number]): string =>
  `${answer} → ${after}, ${rate}/${slots}`;

it('docs/architecture.md shows the table of states and operations that the contract tests', () => {
  const table = tables(read('docs/architecture.md')).find(([header]) => header![0] === 'operation')!;
  const [[, ...states], ...rows] = table as [string[], ...string[][]];
  const shown = rows.map(([operation, ...cells]): Row => [
    operation!,
    Object.fromEntries(cells.map((text, i) => [states[i]!, text])),
  ]);
  const operations = Object.keys(Object.values(stateTable)[0]!);
  const tested = operations.map((operation): Row => [
    operation,
    Object.fromEntries(Object.entries(stateTable).map(([state, cells]) => [state, cell(cells[operation]!)])),
  ]);
  expect(shown).toEqual(tested);
});
