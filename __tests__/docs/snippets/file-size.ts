import { createServer } from 'node:http';
import { rename } from 'node:fs/promises';
import { basename, join } from 'node:path';
import express from 'express';

export const app = express();
export let inputs = '';
export const useInputs = (directory: string): string => (inputs = directory);

// #region form
import { fileSize, type UploadedFile } from 'express-job-limits';

app.post(
  '/jobs',
  fileSize({ maxFile: '1gb', maxRequest: '2gb', maxFiles: 20, types: ['video/*', 'audio/*'] }),
  async (req, res) => {
    const stored: string[] = [];
    for (const { path } of req.files as unknown as UploadedFile[]) {
      // A file is removed once the response has ended: move what the job needs.
      await rename(path!, join(inputs, basename(path!)));
      stored.push(basename(path!));
    }
    res.status(201).json({ stored, fields: req.body as Record<string, string> });
  },
);
// #endregion

// #region raw
app.put('/files/:name', fileSize({ maxFile: '100mb' }), async (req, res) => {
  let bytes = 0;
  try {
    for await (const chunk of req) bytes += (chunk as Buffer).length;
  } catch {
    // Refused at the limit, or gone: whoever had to know was answered.
    return;
  }
  res.status(201).json({ bytes });
});
// #endregion

// #region prefix
import { readFormPrefix } from 'express-job-limits';

const keyOf = async (req: express.Request): Promise<string | undefined> =>
  (await readFormPrefix(req))['api_key'];
// #endregion
app.post('/key', async (req, res) => void res.json(await keyOf(req)));

// #region expect
import { answerExpect } from 'express-job-limits';

const server = createServer(app);
answerExpect(server);
// #endregion
export { server };
