import { mkdtempSync, readdirSync, readFileSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { build, type BuildResult } from 'esbuild';
import { ModuleKind, ScriptTarget, transpileModule } from 'typescript';

const folder = join(__dirname, '../../lib/client');

export type Bundle = BuildResult<{ metafile: true; write: false }>;

/** The client bundled for browsers, from its source: what ES modules of it come to. */
export const bundleClient = (): Promise<Bundle> => bundle(join(folder, 'index.ts'), 'esm');

/** The same from the CommonJS modules that the package's build makes. */
export async function bundleCommonJs(): Promise<Bundle> {
  const built = mkdtempSync(join(tmpdir(), 'client-'));
  try {
    for (const file of readdirSync(folder)) {
      const { outputText } = transpileModule(readFileSync(join(folder, file), 'utf8'), {
        compilerOptions: { module: ModuleKind.CommonJS, target: ScriptTarget.ES2023 },
      });
      writeFileSync(join(built, file.replace(/\.ts$/, '.js')), outputText);
    }
    return await bundle(join(built, 'index.js'), 'esm');
  } finally {
    rmSync(built, { recursive: true });
  }
}

/** A script for a page that has all exports of the client as the global `client`. */
export async function clientScript(): Promise<string> {
  const { outputFiles } = await bundle(join(folder, 'index.ts'), 'iife');
  return outputFiles[0]!.text;
}

const bundle = (entry: string, format: 'esm' | 'iife'): Promise<Bundle> =>
  build({
    entryPoints: [entry],
    bundle: true,
    minify: true,
    platform: 'browser',
    target: 'es2022',
    format,
    ...(format === 'iife' ? { globalName: 'client' } : {}),
    metafile: true,
    write: false,
    logLevel: 'silent',
  });
