import { mkdtemp, rm, writeFile } from 'node:fs/promises';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import request from 'supertest';
import { closeArchiveWorkers } from '../../lib/index.js';
import { writeZip } from '../support/zip-writer.js';
import { app, describeArchive } from './snippets/archive-limits.js';

const good = writeZip([
  { name: 'a.txt', data: 'one' },
  { name: 'b.txt', data: 'two' },
]);

let folder: string;
beforeAll(async () => void (folder = await mkdtemp(join(tmpdir(), 'docs-archives-'))));
afterAll(async () => {
  await closeArchiveWorkers();
  await rm(folder, { recursive: true });
});

test('the handler knows how many files came', async () => {
  await request(app).post('/jobs').attach('input', good, 'a.zip').expect(201, { files: 2 });
  await request(app).post('/jobs').attach('input', Buffer.from('text'), 'a.txt').expect(201, { files: 1 });
  await request(app).post('/jobs').attach('input', good.subarray(0, -1), 'a.zip').expect(422);
});

test('an archive is described', async () => {
  const path = join(folder, 'a.zip');
  await writeFile(path, good);
  await expect(describeArchive(path)).resolves.toBe('zip: 2 entries, 6 bytes');
  await writeFile(path, writeZip([{ name: '../a', data: 'x' }]));
  await expect(describeArchive(path)).resolves.toMatch(/^ARCHIVE_PATH_TRAVERSAL at \.\.\/a: /);
});
