import type { Request, Response } from 'express';
import { stateOfRequest, type OutcomeListener } from './request-state.js';

/**
 * Watches a response for the status that the *app* gives it. `finish` tells it for a client that stays. When the client
 * goes away first, `finish` never comes and the status of a response that nobody has begun reads 200: so after `close` the
 * app's first move on the response is waited for. One pair of
 * listeners a request, for all its jobs.
 */
export function watchOutcome(req: Request, res: Response, listener: OutcomeListener): void {
  const { outcomes } = stateOfRequest(req);
  outcomes.push(listener);
  if (outcomes.length > 1) return;
  res.on('finish', onFinish);
  res.on('close', onClose);
}

function onFinish(this: Response): void {
  tell(this);
}

function onClose(this: Response): void {
  const { outcomes } = stateOfRequest(this.req);
  if (outcomes.length === 0) return;
  if (begun(this)) tell(this);
  else {
    waitForApp(this);
    for (const outcome of outcomes) outcome.abandoned(this);
  }
}

function tell(res: Response): void {
  for (const outcome of stateOfRequest(res.req).outcomes.splice(0)) outcome.answered(res);
}

/** Whether the app has begun its answer. A stream piped into it that has not sent a byte yet shows only by its listener. */
const begun = (res: Response): boolean =>
  res.headersSent || res.writableEnded || res.listenerCount('unpipe') > 0;

/** Writing to a closed response sends nothing and emits nothing, so that the calls themselves have to be seen. */
function waitForApp(res: Response): void {
  for (const method of ['end', 'write'] as const) {
    const original = res[method].bind(res) as (...args: unknown[]) => never;
    res[method] = (...args: unknown[]) => {
      tell(res);
      return original(...args);
    };
  }
  res.once('pipe', () => tell(res));
}
