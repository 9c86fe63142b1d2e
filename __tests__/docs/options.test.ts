import { followQueue, followWorker } from '../../lib/bullmq/index.js';
import { answerChecks } from '../../lib/http/answers.js';
import {
  admission,
  archiveLimits,
  concurrency,
  ConfigError,
  creationRate,
  fileSize,
  highFrequency,
  jobLifecycle,
  jobLimits,
  jobRetention,
  MemoryStore,
  requestRate,
  urlCount,
  usage,
} from '../../lib/index.js';
import { checkOverride } from '../../lib/plans/override.js';
import { read, tables } from './markdown.js';

/** Every option that a factory knows, as its refusal of an unknown one lists them. */
function knownOptions(make: (options: never) => unknown): string[] {
  try {
    make({ '?': 1 } as never);
  } catch (error) {
    return (error as ConfigError).expected.replace(/^.*there are /, '').split(', ');
  }
  throw new Error('took an unknown option');
}

/** The options of all tables of a page whose first column is called `option`. */
const shownOptions = (page: string): string[] =>
  tables(read(page))
    .filter(([header]) => header![0] === 'option')
    .flatMap(([, ...rows]) => rows.map(([option]) => option!));

const shared = shownOptions('docs/reference/job-limits.md').filter(
  (option) => !['plans', 'plan', 'onStoreError', 'processes', 'telemetry'].includes(option),
);

it('docs/reference/job-limits.md lists every option of jobLimits()', () => {
  expect(shownOptions('docs/reference/job-limits.md').sort()).toEqual(knownOptions(jobLimits).sort());
});

it.each([
  ['docs/reference/admission.md', admission],
  ['docs/reference/creation-rate.md', creationRate],
  ['docs/reference/concurrency.md', concurrency],
  ['docs/reference/request-rate.md', requestRate],
  ['docs/reference/usage.md', usage],
])('%s and the shared options list every option', (page, make) => {
  const inherited = page === 'docs/reference/creation-rate.md' || page === 'docs/reference/concurrency.md';
  const ofAdmission = inherited
    ? shownOptions('docs/reference/admission.md').filter((option) => option !== 'plan' && option !== 'cost')
    : [];
  const listed = [...shownOptions(page), ...ofAdmission, ...shared];
  expect([...new Set(listed)].sort()).toEqual(knownOptions(make).sort());
});

it.each([
  ['docs/reference/high-frequency.md', highFrequency],
  ['docs/reference/file-size.md', fileSize],
  ['docs/reference/archive-limits.md', archiveLimits],
  ['docs/reference/url-count.md', urlCount],
])('%s and the options of all answers list every option', (page, make) => {
  const listed = [...shownOptions(page), ...Object.keys(answerChecks)];
  expect(listed.sort()).toEqual(knownOptions(make).sort());
});

it('docs/reference/bullmq.md lists every option of followQueue and followWorker, in this order', () => {
  const shown = tables(read('docs/reference/bullmq.md'))
    .filter(([header]) => header![0] === 'option')
    .map(([, ...rows]) => rows.map(([name]) => name!).sort());
  expect(shown).toEqual([knownOptions(followQueue).sort(), knownOptions(followWorker).sort()]);
});

it('docs/reference/job-retention.md and the shared options list every option', () => {
  const listed = [...shownOptions('docs/reference/job-retention.md'), ...shared];
  expect(listed.sort()).toEqual(knownOptions(jobRetention).sort());
});

it('docs/reference/lifecycle.md lists every option of jobLifecycle, renewWhile and sweep', async () => {
  const jobs = jobLifecycle({ store: new MemoryStore() });
  const ref = { customer: 'acme', id: 'one' };
  const unknown = { '?': 1 } as never;
  const error: unknown = await jobs
    .renewWhile(ref, () => Promise.resolve(), unknown)
    .catch((e: unknown) => e);
  const known = [
    knownOptions(jobLifecycle),
    knownOptions(() => {
      throw error;
    }),
    knownOptions((options) => jobs.sweep(options)),
  ];
  const shown = tables(read('docs/reference/lifecycle.md'))
    .filter(([header]) => header![0] === 'option')
    .map(([, ...rows]) => rows.map(([option]) => option!).sort());
  expect(shown).toEqual(known.map((options) => options.sort()));
});

it('docs/stores/memory.md lists every option of MemoryStore', () => {
  const internal = ['divided'];
  expect([...shownOptions('docs/stores/memory.md'), ...internal].sort()).toEqual(
    knownOptions((options) => new MemoryStore(options)).sort(),
  );
});

const keysAt = (plan: unknown) =>
  knownOptions(() => jobLimits({ customer: () => 'a', plans: { a: plan as never } }));

it('docs/reference/plans.md lists every key of a plan and of its limits', () => {
  const known = [
    keysAt({ '?': 1 }),
    keysAt({ creationRate: { '?': 1 } }),
    keysAt({ concurrency: { '?': 1 } }),
    keysAt({ requestRate: { '?': 1 } }),
    keysAt({ jobRetention: { '?': 1 } }),
  ];
  const shown = tables(read('docs/reference/plans.md'))
    .filter(([header]) => ['key', 'option'].includes(header![0]!))
    .map(([, ...rows]) => rows.map(([name]) => name!).sort());
  expect(shown).toEqual(known.map((keys) => keys.sort()));
});

it('docs/reference/quotas.md lists every option of quotas and of storage', () => {
  const shown = tables(read('docs/reference/quotas.md'))
    .filter(([header]) => header![0] === 'option')
    .map(([, ...rows]) => rows.map(([name]) => name!).sort());
  const known = [keysAt({ quotas: { '?': 1 } }), keysAt({ storage: { '?': 1 } })];
  expect(shown).toEqual(known.map((keys) => keys.sort()));
});

it('docs/reference/overrides.md lists every key of an override', () => {
  const [[, ...rows]] = tables(read('docs/reference/overrides.md')).filter(
    ([header]) => header![0] === 'key',
  ) as [string[][]];
  const known = knownOptions((options) => checkOverride(options, { limits: [] } as never, 0));
  expect(rows.map(([key]) => key!).sort()).toEqual(known.sort());
});

it.each([
  ['docs/reference/file-size.md', 'fileSize'],
  ['docs/reference/archive-limits.md', 'archiveLimits'],
  ['docs/reference/url-count.md', 'urlCount'],
])("the first table of %s has the keys of a plan's %s", (page, key) => {
  const [[, ...rows]] = tables(read(page)).filter(([header]) => header![0] === 'option') as [string[][]];
  expect(rows.map(([option]) => option!).sort()).toEqual(keysAt({ [key]: { '?': 1 } }).sort());
});
