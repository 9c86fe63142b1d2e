'use strict';
// Writes lib/stores/redis/scripts.ts from the Lua files beside it: shared pieces once each, comments taken out.
// With --check it writes nothing and fails when the file is not what it would write.
const { createHash } = require('node:crypto');
const { readdirSync, readFileSync, writeFileSync } = require('node:fs');
const path = require('node:path');

const folder = path.resolve(process.argv[1], '../../lib/stores/redis');
const target = path.join(folder, 'scripts.ts');
const camelCase = (name) => name.replace(/-(\w)/g, (_, letter) => letter.toUpperCase());

function readAll(...parts) {
  const from = path.join(folder, 'lua', ...parts);
  const files = readdirSync(from).filter((file) => file.endsWith('.lua'));
  return new Map(
    files.sort().map((file) => [file.slice(0, -'.lua'.length), readFileSync(path.join(from, file), 'utf8')]),
  );
}

const strip = (source) =>
  source
    .split('\n')
    .map((line) => line.trim())
    .filter((line) => line !== '' && !line.startsWith('--'))
    .join('\n');

const literal = (text) => `\`${text.replace(/[\\`]|\$\{/g, (special) => `\\${special}`)}\``;

const pieces = readAll('include');
const declarations = [...pieces].map(
  ([name, source]) => `const ${camelCase(name)}Piece = ${literal(strip(source))};\n`,
);
for (const [name, source] of readAll()) {
  // A line `--- @include a b` stands for these pieces, where it is.
  const parts = source
    .split(/^\s*(--- @include .*)$/m)
    .flatMap((part) =>
      part.startsWith('--- @include ') ? part.split(' ').slice(2) : [{ text: strip(part) }],
    )
    .filter((part) => part.text !== '');
  const whole = parts.map((part) => part.text ?? strip(pieces.get(part))).join('\n');
  const sha = createHash('sha1').update(whole).digest('hex');
  const list = parts.map((part) =>
    part.text === undefined ? `${camelCase(part)}Piece` : literal(part.text),
  );
  declarations.push(
    `// prettier-ignore\nexport const ${camelCase(name)} = script('${name}', '${sha}', [${list.join(', ')}]);\n`,
  );
}

const generated = `/* eslint-disable max-lines */
// Made by scripts/embed-lua.js from lib/stores/redis/lua. Change those files, not this one.

/** A script as Redis runs it. */
export interface Script {
  /** Its file's name. */
  readonly name: string;
  /** By which Redis knows it once it was loaded: the SHA-1 of the source. */
  readonly sha: string;
  readonly source: string;
}

const script = (name: string, sha: string, parts: string[]): Script => ({
  name,
  sha,
  source: parts.join('\\n'),
});

${declarations.join('\n')}`;

if (!process.argv.includes('--check')) {
  writeFileSync(target, generated);
} else if (readFileSync(target, 'utf8') !== generated) {
  console.error('lib/stores/redis/scripts.ts is not up to date: run `node scripts/embed-lua.js`');
  process.exit(1);
}
