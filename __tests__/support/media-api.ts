import type { IncomingMessage } from 'node:http';
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs';
import { tmpdir } from 'node:os';
import { join } from 'node:path';
import { createApp, type MediaApi } from '../../examples/media-api/app.js';
import { readPlansFile } from '../../examples/media-api/plans-file.js';
import { listen } from './http.js';

/** A creation as the server saw it. */
export interface Creation {
  path: string;
  /** When its request came, in monotonic milliseconds. */
  cameAt: number;
  status: number;
  /** The Retry-After that it was answered, in seconds; NaN where there was none. */
  retryAfter: number;
}

export interface ServedMediaApi {
  url: string;
  api: MediaApi;
  /** All creations so far, in the order of their answers. */
  creations: Creation[];
  close(): Promise<void>;
}

/** Writes a PLANS file into a folder of its own. */
export function plansFile(content: unknown): { path: string; write(content: unknown): void; remove(): void } {
  const folder = mkdtempSync(join(tmpdir(), 'media-api-'));
  const path = join(folder, 'plans.json');
  const write = (next: unknown): void =>
    writeFileSync(path, typeof next === 'string' ? next : JSON.stringify(next));
  write(content);
  return { path, write, remove: () => rmSync(folder, { recursive: true }) };
}

/** The example on a free port, with a record of the creations that it answered. */
export async function serveMediaApi(plans: unknown, jobMs: number): Promise<ServedMediaApi> {
  const file = plansFile(plans);
  const api = createApp({ plans: readPlansFile(file.path), jobMs });
  const creations: Creation[] = [];
  const listening = await listen((req: IncomingMessage, res) => {
    const cameAt = performance.now();
    if (req.method === 'POST') {
      res.on('finish', () => {
        const retryAfter = Number(res.getHeader('retry-after') ?? NaN);
        creations.push({ path: req.url!, cameAt, status: res.statusCode, retryAfter });
      });
    }
    api.app(req, res);
  });
  return {
    url: listening.url,
    api,
    creations,
    async close() {
      await listening.close();
      await api.close();
      file.remove();
    },
  };
}
