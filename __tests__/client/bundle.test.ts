import { gzipSync } from 'node:zlib';
import { builtinModules } from 'node:module';
import { bundleClient, bundleCommonJs, type Bundle } from '../support/client-bundle.js';

const MOST_BYTES = 3000;

const gzipped = ({ outputFiles }: Bundle): number => gzipSync(outputFiles[0]!.contents, { level: 9 }).length;

/** Everything that the bundle imports, from inside or from outside. */
const imports = ({ metafile }: Bundle): string[] => [
  ...Object.keys(metafile.inputs),
  ...Object.values(metafile.inputs).flatMap((input) => input.imports.map(({ path }) => path)),
  ...Object.values(metafile.outputs).flatMap((output) => output.imports.map(({ path }) => path)),
];

test(`minified and gzipped the client takes at most ${MOST_BYTES} bytes`, async () => {
  expect(gzipped(await bundleClient())).toBeLessThanOrEqual(MOST_BYTES);
});

test.each([
  ['ES modules', bundleClient],
  ['CommonJS', bundleCommonJs],
])('bundled from %s it holds nothing but its own files', async (_name, make) => {
  const bundled = await make();
  const files = imports(bundled);
  expect(files.length).toBeGreaterThan(10);
  for (const file of files) expect(file).toMatch(/(^|\/)(lib\/client|client-\w+)\/[a-z-]+\.[jt]s$/);
  expect(files.filter((file) => builtinModules.includes(file.replace(/^node:/, '')))).toEqual([]);
  const text = bundled.outputFiles[0]!.text;
  expect(text).not.toMatch(/\bprocess\.|\bBuffer\b|\brequire\(|node:/);
});
