'use strict';
const { execFileSync } = require('node:child_process');
const { rmSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

// The package as CommonJS, whose classes `import` and `require` share; the client once more as ES modules, which bundle
// to fewer bytes for browsers.
const root = join(__dirname, '..');
const tsc = require.resolve('typescript/bin/tsc');

rmSync(join(root, 'dist'), { recursive: true, force: true });
for (const project of ['tsconfig.build.json', 'tsconfig.client.json']) {
  execFileSync(process.execPath, [tsc, '-p', project], { cwd: root, stdio: 'inherit' });
}
writeFileSync(join(root, 'dist/client-esm/package.json'), '{ "type": "module" }\n');
