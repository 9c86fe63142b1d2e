import { existsSync } from 'node:fs';
import { dirname, join, normalize } from 'node:path';
import { anchors, pages, prose, read } from './markdown.js';

it.each(pages)('%s links to pages and headings that exist', (page) => {
  const dead: string[] = [];
  for (const [, target] of prose(read(page)).matchAll(/\]\(([^)\s]+)\)/g)) {
    if (/^[a-z]+:/.test(target!)) continue;
    const [path, anchor] = target!.split('#');
    const file = path === '' ? page : normalize(join(dirname(page), path!));
    const exists = existsSync(join(__dirname, '..', '..', file));
    if (!exists || (anchor !== undefined && !anchors(read(file)).includes(anchor))) dead.push(target!);
  }
  expect(dead).toEqual([]);
});
