import { readdirSync, readFileSync } from 'node:fs';
import { join } from 'node:path';

const root = join(__dirname, '..', '..');

/** README.md, CONTRIBUTING.md and everything in docs/, by path from the top. */
export const pages: string[] = [
  'README.md',
  'CONTRIBUTING.md',
  ...readdirSync(join(root, 'docs'), { recursive: true })
    .map((name) => join('docs', name as string))
    .filter((name) => name.endsWith('.md')),
];

export const read = (page: string): string => readFileSync(join(root, page), 'utf8');

/** Headings of one level, in order. */
export function headings(markdown: string, level = 2): string[] {
  const mark = `${'#'.repeat(level)} `;
  return prose(markdown)
    .split('\n')
    .filter((line) => line.startsWith(mark))
    .map((line) => line.slice(mark.length).trim());
}

/** The text without its blocks of code. */
export const prose = (markdown: string): string => markdown.replace(/^```[\s\S]*?^```$/gm, '');

/** The anchors that the headings of a page have on GitHub. */
export const anchors = (markdown: string): string[] =>
  [1, 2, 3, 4]
    .flatMap((level) => headings(markdown, level))
    .map((heading) =>
      heading
        .toLowerCase()
        .replace(/[^\p{L}\p{N} _-]/gu, '')
        .replaceAll(' ', '-'),
    );

/** All tables of a page: rows of cells, the header first, the backquotes left away. */
export function tables(markdown: string): string[][][] {
  const found: string[][][] = [];
  let table: string[][] | undefined;
  for (const line of prose(markdown).split('\n')) {
    if (!line.startsWith('|')) {
      table = undefined;
      continue;
    }
    const cells = line
      .replaceAll('\\|', '\u0000')
      .split('|')
      .slice(1, -1)
      .map((cell) => cell.replaceAll('\u0000', '|').replaceAll('`', '').trim());
    if (table === undefined) found.push((table = []));
    if (!cells.every((cell) => /^:?-+:?$/.test(cell))) table.push(cells);
  }
  return found;
}

/** The literal answers that a page shows: blocks of `http` after the comment that names what gives them. */
export function shownAnswers(markdown: string): { name: string | undefined; text: string }[] {
  const blocks = markdown.matchAll(/(?:^<!-- answer: (\S+) -->\n+)?^```http\n([\s\S]*?)^```$/gm);
  return [...blocks].map(([, name, text]) => ({ name, text: text! }));
}
