import type { ServerResponse } from 'node:http';
import { rm } from 'node:fs/promises';
import type { UploadedFile } from './storage.js';

/** How long a handler whose client has gone away may still work with the files without answering. */
const GRACE_MS = 30_000;

/** Removes the files once the app has ended this response. A handler that moves one away keeps it. */
export function removeWhenAnswered(res: ServerResponse, files: UploadedFile[]): void {
  let removed = false;
  const remove = (): void => {
    if (removed) return;
    removed = true;
    clearTimeout(grace);
    for (const { path } of files) if (path !== undefined) void rm(path, { force: true }).catch(() => {});
  };
  let grace: NodeJS.Timeout | undefined;
  const closed = (): void => {
    if (res.writableEnded) return remove();
    // The client is gone, the handler may not know. Ending a closed response emits nothing, so the call must be seen.
    grace = setTimeout(remove, GRACE_MS).unref();
    const end = res.end.bind(res) as (...args: unknown[]) => ServerResponse;
    res.end = (...args: unknown[]) => {
      remove();
      return end(...args);
    };
  };
  // The client may have gone while its last file was stored.
  if (res.closed) closed();
  else res.once('close', closed);
}
