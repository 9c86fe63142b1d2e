// #region app
import express from 'express';
import multer from 'multer';
import { archiveLimits, archivesOf } from 'express-job-limits';

const upload = multer({ storage: multer.memoryStorage() });
const app = express();

app.post(
  '/jobs',
  upload.single('input'),
  archiveLimits({ maxEntries: 500, maxUncompressed: '2gb' }),
  (req, res) => {
    const [archive] = archivesOf(req);
    res.status(201).json({ files: archive?.entries ?? 1 });
  },
);
// #endregion

// #region inspect
import { inspectArchive } from 'express-job-limits';

async function describeArchive(path: string): Promise<string> {
  const outcome = await inspectArchive(path, { maxEntries: 500, mode: 'lenient' });
  if (outcome.ok) return `${outcome.format}: ${outcome.entries} entries, ${outcome.uncompressedBytes} bytes`;
  return `${outcome.code} at ${outcome.entry ?? 'no entry'}: ${outcome.message}`;
}
// #endregion

export { app, describeArchive };
