import { createWriteStream } from 'node:fs';
import { mkdtemp, rm, unlink } from 'node:fs/promises';
import { createServer } from 'node:http';
import { once } from 'node:events';
import type { AddressInfo } from 'node:net';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import busboy from 'busboy';
import express, { type RequestHandler } from 'express';
import multer from 'multer';
import { fileSize } from '../lib/middleware/file-size.js';
import type { UploadStorage } from '../lib/uploads/storage.js';
import { median, printTable, versionsOf } from './support/table.js';
import { Sender } from './uploads/sender.js';

// One file of SIZE through each contender, one after the other, ROUNDS times; the first round warms up and is dropped.
// The uploads come from another process. Ratios are medians of each round's own.
const SIZE = Number(process.env['SIZE'] ?? 256) * 1024 * 1024;
const ROUNDS = Number(process.env['ROUNDS'] ?? 9);
const limits = { maxFile: '20gb', maxRequest: '20gb' };

const sink: RequestHandler = (req, res) => void req.on('end', () => res.end()).resume();
const done: RequestHandler = (_req, res) => void res.end();

const nowhere: UploadStorage = {
  _handleFile: (_req, { stream }, callback) => void stream.on('end', () => callback()).resume(),
  _removeFile: (_req, _file, callback) => callback(null),
};

const bareBusboy =
  (directory?: string): RequestHandler =>
  (req, res) => {
    const parser = busboy({ headers: req.headers });
    const written: Promise<unknown>[] = [];
    const paths: string[] = [];
    parser.on('file', (_name, stream) => {
      if (directory === undefined) return void stream.resume();
      const path = join(directory, `busboy-${process.hrtime.bigint()}`);
      paths.push(path);
      written.push(once(stream.pipe(createWriteStream(path)), 'finish'));
    });
    parser.on('close', () => {
      void Promise.all(written).then(() => {
        res.end();
        for (const path of paths) void unlink(path);
      });
    });
    req.pipe(parser);
  };

/** multer leaves its files to the app. */
const removeFiles: RequestHandler = (req, res) => {
  res.end();
  for (const { path } of req.files as Express.Multer.File[]) void unlink(path);
};

async function main(): Promise<void> {
  const directory = await mkdtemp(join(tmpdir(), 'uploads-bench-'));
  const routes: Record<string, { handlers: RequestHandler[]; form: boolean; against: string[] }> = {
    'raw sink': { handlers: [sink], form: false, against: [] },
    'fileSize, raw body': { handlers: [fileSize(limits), sink], form: false, against: ['raw sink'] },
    'busboy to nowhere': { handlers: [bareBusboy()], form: true, against: ['raw sink'] },
    'fileSize to nowhere': {
      handlers: [fileSize({ ...limits, storage: nowhere }), done],
      form: true,
      against: ['raw sink', 'busboy to nowhere', 'multer to nowhere'],
    },
    'multer to nowhere': {
      handlers: [multer({ storage: nowhere }).any(), done],
      form: true,
      against: ['raw sink', 'busboy to nowhere'],
    },
    'busboy to disk': { handlers: [bareBusboy(directory)], form: true, against: ['raw sink'] },
    'fileSize to disk': {
      handlers: [fileSize({ ...limits, tempDir: directory }), done],
      form: true,
      against: ['raw sink', 'busboy to disk', 'multer to disk'],
    },
    'multer to disk': {
      handlers: [multer({ dest: directory }).any(), removeFiles],
      form: true,
      against: ['raw sink', 'busboy to disk'],
    },
  };
  const app = express();
  const names = Object.keys(routes);
  names.forEach((name, index) => app.post(`/${index}`, ...routes[name]!.handlers));
  const server = createServer(app).listen(0, '127.0.0.1');
  await once(server, 'listening');
  const { port } = server.address() as AddressInfo;
  const sender = new Sender();
  const wall: Record<string, number[]> = {};
  const cpu: Record<string, number[]> = {};
  for (let round = 0; round < ROUNDS; round += 1) {
    for (const [index, name] of names.entries()) {
      global.gc?.();
      const usage = process.cpuUsage();
      const began = performance.now();
      const [answer] = await sender.send({ port, path: `/${index}`, size: SIZE, form: routes[name]!.form });
      if (answer?.status !== 200) throw new Error(`${name}: ${JSON.stringify(answer)}`);
      if (round === 0) continue;
      (wall[name] ??= []).push(performance.now() - began);
      const { user, system } = process.cpuUsage(usage);
      (cpu[name] ??= []).push((user + system) / 1000);
    }
  }
  const ratio = (times: Record<string, number[]>, name: string, peer: string): string =>
    median(times[name]!.map((time, round) => time / times[peer]![round]!)).toFixed(2);
  console.log(
    `${SIZE / 2 ** 20} MiB, ${ROUNDS - 1} rounds, Node ${process.version}, ${versionsOf('express', 'busboy', 'multer')}\n`,
  );
  printTable(
    names.map((name) => ({
      contender: name,
      'ms (median)': median(wall[name]!).toFixed(0),
      'CPU ms of the server': median(cpu[name]!).toFixed(0),
      'x, by wall clock': routes[name]!.against.map((peer) => `${ratio(wall, name, peer)} ${peer}`).join(
        ', ',
      ),
      'x, by CPU': routes[name]!.against.map((peer) => `${ratio(cpu, name, peer)} ${peer}`).join(', '),
    })),
  );
  sender.close();
  server.close();
  server.closeAllConnections();
  await rm(directory, { recursive: true, force: true });
}

void main();
