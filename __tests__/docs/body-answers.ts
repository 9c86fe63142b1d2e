import express, { type RequestHandler } from 'express';
import request from 'supertest';
import {
  archiveLimits,
  closeArchiveWorkers,
  fileSize,
  urlCount,
  type ArchiveLimitsOptions,
} from '../../lib/index.js';
import { writeZip } from '../support/zip-writer.js';

type Given = Pick<request.Response, 'status' | 'headers' | 'text'>;

const sent: RequestHandler = (_req, res) => void res.status(201).end();
const post = (...handlers: RequestHandler[]): request.Test => {
  const app = express();
  app.use(...handlers, sent);
  return request(app).post('/');
};
const urls = (count: number): { urls: string[] } => ({
  urls: Array.from({ length: count }, (_, index) => `https://example.com/${index}`),
});

const zip = async (names: string[], options: ArchiveLimitsOptions = {}): Promise<Given> => {
  const archive = writeZip(names.map((name) => ({ name, data: 'content' })));
  const answer = await post(fileSize({ maxFile: '1mb' }), archiveLimits(options)).attach(
    'input',
    archive,
    'a.zip',
  );
  await closeArchiveWorkers();
  return answer;
};

/** What the pages of fileSize, archiveLimits and urlCount show, as the app gives it. */
export const bodyAnswers: Record<string, () => Promise<Given>> = {
  'archive-too-many': () =>
    zip(
      Array.from({ length: 12 }, (_, index) => `${index}.txt`),
      { maxEntries: 10 },
    ),
  'archive-path': () => zip(['../../etc/passwd']),
  'file-too-large': async () =>
    post(fileSize({ maxFile: '1kb', maxRequest: '1mb' })).attach('video', Buffer.alloc(1025), {
      filename: 'holiday.mp4',
      contentType: 'video/mp4',
    }),
  'request-too-large': async () =>
    post(fileSize({ maxFile: '1gb', maxRequest: '2kb' }))
      .set('Content-Type', 'video/mp4')
      .send('x'.repeat(4096)),
  'unsupported-type': async () =>
    post(fileSize({ maxFile: '1kb', types: ['video/*'] })).attach('video', Buffer.alloc(1), {
      filename: 'setup.exe',
      contentType: 'application/x-msdownload',
    }),
  'malformed-body': async () =>
    post(fileSize({ maxFile: '1kb' }))
      .set('Content-Type', 'multipart/form-data; boundary=x')
      .send('--x\r\n'),
  'too-many-urls': async () => post(urlCount({ limit: 100 })).send(urls(250)),
  'url-warning': async () => post(urlCount({ recommended: 100 })).send(urls(250)),
  'private-address': async () => post(urlCount()).send({ urls: ['http://169.254.169.254/latest/'] }),
};
