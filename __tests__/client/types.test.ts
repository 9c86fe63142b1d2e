import { join } from 'node:path';
import ts from 'typescript';

const folder = join(__dirname, 'types');

/** Compiles one file with nothing but the given libraries, and returns what the compiler says. */
function compile(options: ts.CompilerOptions): string[] {
  const program = ts.createProgram([join(folder, 'usage.ts')], {
    strict: true,
    exactOptionalPropertyTypes: true,
    noEmit: true,
    skipLibCheck: true,
    target: ts.ScriptTarget.ES2023,
    module: ts.ModuleKind.Node20,
    ...options,
  });
  return ts.getPreEmitDiagnostics(program).map(({ messageText, file, start }) => {
    const line = file && start !== undefined ? file.getLineAndCharacterOfPosition(start).line + 1 : 0;
    return `${file?.fileName ?? ''}:${line} ${ts.flattenDiagnosticMessageText(messageText, '\n')}`;
  });
}

// usage.ts holds its own wrong lines, each marked with @ts-expect-error: one that compiles is an error, too.
test('the wrapped fetch is a typeof fetch by the types of Node', () => {
  expect(compile({ lib: ['lib.es2023.d.ts'], types: ['node'] })).toEqual([]);
}, 60_000);

test('and by those of browsers', () => {
  expect(compile({ lib: ['lib.es2023.d.ts', 'lib.dom.d.ts'], types: [] })).toEqual([]);
}, 60_000);
