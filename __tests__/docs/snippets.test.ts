import { spawnSync } from 'node:child_process';
import { cpSync, mkdirSync, mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { pages, read } from './markdown.js';

const top = join(__dirname, '..', '..');
const script = join(top, 'scripts', 'docs-snippets.js');
const run = (...args: string[]) => {
  const { status, stderr } = spawnSync(process.execPath, [script, ...args], { cwd: top, encoding: 'utf8' });
  return { status, problems: stderr.split('\n').filter((line) => line !== '') };
};

it('every block of code in the docs is what the tests run', () => {
  expect(run('--check')).toEqual({ status: 0, problems: [] });
});

it('every snippet is run by a test', () => {
  const tests = [__dirname, join(__dirname, '..')]
    .flatMap((folder) => readdirSync(folder).map((name) => join(folder, name)))
    .filter((path) => path.endsWith('.test.ts'))
    .map((path) => readFileSync(path, 'utf8'))
    .join('\n');
  const used = pages.flatMap((page) => [...read(page).matchAll(/^<!-- snippet: (\S+)\.ts#/gm)]);
  expect(used.length).toBeGreaterThan(0);
  for (const [, file] of used) expect(tests).toContain(`/snippets/${file}.js'`);
});

describe('the script that keeps them so', () => {
  let folder: string;

  beforeEach(() => {
    folder = mkdtempSync(join(tmpdir(), 'docs-snippets-'));
    const snippets = join(folder, '__tests__', 'docs', 'snippets');
    mkdirSync(snippets, { recursive: true });
    mkdirSync(join(folder, 'docs'));
    writeFileSync(join(snippets, 'a.ts'), 'x;\n  // #region one\n  if (a)\n    b();\n  // #endregion\n');
    writeFileSync(join(folder, 'CONTRIBUTING.md'), '');
  });
  afterEach(() => rmSync(folder, { recursive: true }));

  const readme = (text: string) => writeFileSync(join(folder, 'README.md'), text);
  const stale = '# A\n\n<!-- snippet: a.ts#one -->\n\n```ts\nold();\n```\n';

  it('finds a block that is not current, and changes nothing with --check', () => {
    readme(stale);
    const { status, problems } = run('--check', folder);
    expect(status).toBe(1);
    expect(problems).toEqual([expect.stringMatching(/^README\.md:3: not the same as a\.ts#one$/)]);
    expect(readFileSync(join(folder, 'README.md'), 'utf8')).toBe(stale);
  });

  it('brings it up to date', () => {
    readme(stale);
    expect(run(folder)).toEqual({ status: 0, problems: [] });
    expect(readFileSync(join(folder, 'README.md'), 'utf8')).toBe(stale.replace('old();', 'if (a)\n  b();'));
    expect(run('--check', folder).status).toBe(0);
  });

  it.each([
    ['a block without a comment', 'text\n\n```ts\nold();\n```\n', /without its snippet comment/],
    ['a region that is not there', stale.replace('#one', '#two'), /no region 'two'/],
    ['a file that is not there', stale.replace('a.ts', 'b.ts'), /b\.ts/],
  ])('finds %s', (_what, text, problem) => {
    readme(text);
    const { status, problems } = run('--check', folder);
    expect(status).toBe(1);
    expect(problems).toEqual([expect.stringMatching(problem)]);
  });

  it('looks into docs and its folders', () => {
    readme('');
    mkdirSync(join(folder, 'docs', 'deep'));
    cpSync(join(folder, 'README.md'), join(folder, 'docs', 'deep', 'page.md'));
    writeFileSync(join(folder, 'docs', 'deep', 'page.md'), '```js\nx();\n```\n');
    expect(run('--check', folder).problems).toHaveLength(1);
  });
});
