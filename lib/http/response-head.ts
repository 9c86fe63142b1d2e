import type { ServerResponse } from 'node:http';

/**
 * Calls `run` once, when the response's status is settled: `res.statusCode` is it. That is the moment at which a proxy
 * in front would see it, long before a streamed answer is finished, and it comes for an answer to a client that has
 * gone, too.
 */
export function onHead(res: ServerResponse, run: () => void): void {
  type Method = (this: ServerResponse, ...args: never[]) => never;
  const writeHead = Reflect.get(res, 'writeHead') as Method;
  const end = Reflect.get(res, 'end') as Method;
  let settled = false;
  const settle = (): void => {
    if (settled) return;
    settled = true;
    run();
  };
  res.writeHead = function (this: ServerResponse, ...args: never[]) {
    const result = writeHead.apply(this, args);
    settle();
    return result;
  };
  // Node sends no head, and so calls no `writeHead`, where the connection is gone already.
  res.end = function (this: ServerResponse, ...args: never[]) {
    const result = end.apply(this, args);
    settle();
    return result;
  };
}
