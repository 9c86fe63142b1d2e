import type { ServerResponse } from 'node:http';

/**
 * Calls `run` once, when the application has answered: `res.statusCode` is what it answered, also where the client left
 * before. It takes one listener and puts nothing onto the response, which would cost several times as much.
 */
export function onAnswered(res: ServerResponse, run: () => void): void {
  res.on('close', () => {
    if (res.headersSent || res.writableEnded) run();
    else onLateEnd(res, run);
  });
}

/** The client has gone first. Ending a response that is closed emits nothing, so the call itself has to be seen. */
function onLateEnd(res: ServerResponse, run: () => void): void {
  type End = (this: ServerResponse, ...args: never[]) => never;
  const end = Reflect.get(res, 'end') as End;
  res.end = function (this: ServerResponse, ...args: never[]) {
    res.end = end as never;
    const result = end.apply(this, args);
    run();
    return result;
  };
}
