'use strict';
// Keeps the code in README.md and docs/ the same as the code that the tests run.
//
//   node scripts/docs-snippets.js           rewrites the blocks from the snippet files
//   node scripts/docs-snippets.js --check   changes nothing; exits with 1 and a list when a block is not current
//
// Run it at the top of the project, or name another folder as the last argument.
//
// A block is tied to a region of a file in __tests__/docs/snippets by the comment before it:
//
//   <!-- snippet: quick-start.ts#app -->
//
// The region is what stands between `// #region app` and the next `// #endregion`.

const { readFileSync, readdirSync, writeFileSync } = require('node:fs');
const { join } = require('node:path');

const check = process.argv.includes('--check');
const root = process.argv.slice(2).find((arg) => !arg.startsWith('--')) ?? process.cwd();
const snippets = join(root, '__tests__', 'docs', 'snippets');

const BLOCK = /(?:^<!-- snippet: (\S+)#(\S+) -->\n+)?^```(ts|js)\n([\s\S]*?)^```$/gm;

function region(file, name) {
  const lines = readFileSync(join(snippets, file), 'utf8').split('\n');
  const start = lines.findIndex((line) => line.trim() === `// #region ${name}`);
  if (start < 0) throw new Error(`${file} has no region '${name}'`);
  const end = lines.findIndex((line, index) => index > start && line.trim() === '// #endregion');
  if (end < 0) throw new Error(`the region '${name}' of ${file} has no end`);
  const inside = lines.slice(start + 1, end);
  const indent = Math.min(...inside.filter((line) => line !== '').map((line) => line.search(/\S/)));
  return inside.map((line) => line.slice(indent) + '\n').join('');
}

const problems = [];

for (const file of ['README.md', 'CONTRIBUTING.md', ...markdownIn('docs')]) {
  const text = readFileSync(join(root, file), 'utf8');
  const current = text.replace(BLOCK, (block, source, name, language, code, offset) => {
    const at = `${file}:${text.slice(0, offset).split('\n').length}`;
    if (source === undefined) {
      problems.push(`${at}: a ${language} block without its snippet comment`);
      return block;
    }
    let wanted;
    try {
      wanted = region(source, name);
    } catch (error) {
      problems.push(`${at}: ${error.message}`);
      return block;
    }
    if (check && wanted !== code) problems.push(`${at}: not the same as ${source}#${name}`);
    return `<!-- snippet: ${source}#${name} -->\n\n\`\`\`${language}\n${wanted}\`\`\``;
  });
  if (!check && current !== text) writeFileSync(join(root, file), current);
}

function markdownIn(folder) {
  return readdirSync(join(root, folder), { recursive: true })
    .filter((name) => name.endsWith('.md'))
    .map((name) => join(folder, name));
}

if (problems.length > 0) {
  console.error(problems.join('\n'));
  process.exitCode = 1;
}
