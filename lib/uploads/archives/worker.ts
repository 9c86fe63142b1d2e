import { parentPort } from 'node:worker_threads';
import { inspectSource, type ArchiveOutcome } from './inspect.js';
import type { ParsedArchiveLimits } from './limits.js';
import { bufferSource, fileSource, type Source } from './source.js';

/** What a worker is asked to inspect. */
export interface InspectionRequest {
  archive: { path: string } | { bytes: Uint8Array };
  limits: ParsedArchiveLimits;
  folder: string;
}

/** What a worker answers. An error of the file system is the caller's; any other one is ours. */
export type InspectionReply =
  | { outcome: ArchiveOutcome }
  | { fileError: { code: string | undefined; message: string } }
  | { failure: string };

async function inspect({ archive, limits, folder }: InspectionRequest): Promise<InspectionReply> {
  let source: Source | undefined;
  try {
    source = 'path' in archive ? fileSource(archive.path) : bufferSource(Buffer.from(archive.bytes.buffer));
    return { outcome: await inspectSource(source, { limits, folder, now: () => performance.now() }) };
  } catch (error) {
    const { code, syscall, message } = error as NodeJS.ErrnoException;
    return syscall === undefined ? { failure: message } : { fileError: { code, message } };
  } finally {
    source?.close();
  }
}

const port = parentPort;
port?.on('message', (request: InspectionRequest) => {
  void inspect(request).then((reply) => port.postMessage(reply));
});
