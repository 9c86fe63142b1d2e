import type { Request, Response } from 'express';
import { stateOfRequest } from './request-state.js';

/** Told once how the app answered. */
export interface OutcomeListener {
  /** The app has answered, whether or not the client is still there to hear it; the status is `res.statusCode`. */
  answered(res: Response): void;
  /** The client is gone and the app hasn't answered yet. `answered` may still come. */
  abandoned(res: Response): void;
}

/**
 * Watches a response for the status that the *app* gives it. `finish` tells it for a client that stays. When the client
 * goes away first, `finish` never comes and the status of a response that nobody has begun reads 200: so after `close` the
 * app's first move on the response is waited for. One listener a request.
 */
export function watchOutcome(req: Request, res: Response, listener: OutcomeListener): void {
  stateOfRequest(req).outcome = listener;
  res.on('finish', onFinish);
  res.on('close', onClose);
}

function onFinish(this: Response): void {
  tell(this);
}

function onClose(this: Response): void {
  const { outcome } = stateOfRequest(this.req);
  if (outcome === undefined) return;
  if (begun(this)) tell(this);
  else {
    waitForApp(this);
    outcome.abandoned(this);
  }
}

function tell(res: Response): void {
  const state = stateOfRequest(res.req);
  const { outcome } = state;
  state.outcome = undefined;
  outcome?.answered(res);
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
