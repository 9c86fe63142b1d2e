import { archiveLimitChecks } from '../../../lib/uploads/archives/limits.js';
import { archiveStatus } from '../../../lib/uploads/archives/refused.js';
import { inspectArchive } from '../../../lib/uploads/archives/index.js';
import { codeOf } from '../../support/archives.js';
import {
  hostileArchives,
  hostileGzips,
  hostileTars,
  hostileZips,
  type Hostile,
} from '../../support/hostile-archives.js';

const refusesAll = (attacks: Hostile[]): void => {
  test.each(attacks.map((one) => [one.attack, one] as const))(
    '%s',
    async (_, { make, code, lenient = code, limits }) => {
      const bytes = make();
      expect(await codeOf(bytes, { ...limits, mode: 'strict' })).toBe(code);
      expect(await codeOf(bytes, { ...limits, mode: 'lenient' })).toBe(lenient);
    },
  );
};

describe('hostile zips are refused, each with its own code:', () => refusesAll(hostileZips));
describe('hostile tars are refused, each with its own code:', () => refusesAll(hostileTars));
describe('hostile gzips are refused, each with its own code:', () => refusesAll(hostileGzips));

test('the limit that a refusal names is an option, in the way in which answers write names', async () => {
  const named = new Set<string>();
  for (const { make, limits } of hostileArchives) {
    const outcome = await inspectArchive(make(), limits);
    if (!outcome.ok && outcome.limit !== undefined) named.add(outcome.limit);
  }
  const options = Object.keys(archiveLimitChecks).map((option) =>
    option.replace(/[A-Z]/g, (letter) => `-${letter.toLowerCase()}`),
  );
  // What names and comments may take follows from `maxEntries`.
  expect([...named].filter((name) => !options.includes(name))).toEqual(['metadata']);
  expect(named.size).toBe(7);
});

test('every code but those of the worker and of what is no archive belongs to an attack here', () => {
  const elsewhere = ['ARCHIVE_NOT_RECOGNISED', 'ARCHIVE_INSPECTION_TIMEOUT', 'ARCHIVE_INSPECTION_FAILED'];
  const covered = new Set<string>(hostileArchives.map(({ code }) => code));
  expect(Object.keys(archiveStatus).filter((code) => !covered.has(code))).toEqual(elsewhere);
});
