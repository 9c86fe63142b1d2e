import type { ServerResponse } from 'node:http';

/**
 * Calls `run` when the head of the response is settled, with the status in `res.statusCode`. That is the moment at which
 * a proxy sees the status; it comes for an answer to a client that has gone, too, and it costs a fraction of what a
 * listener of `finish` does.
 */
export function onHead(res: ServerResponse, run: () => void): void {
  const writeHead: (...args: never[]) => ServerResponse = Reflect.get(res, 'writeHead');
  res.writeHead = function settled(this: ServerResponse, ...args: never[]): ServerResponse {
    const result = writeHead.apply(this, args);
    run();
    return result;
  };
}
