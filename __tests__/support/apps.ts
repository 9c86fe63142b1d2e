import express5, { type Express, type ErrorRequestHandler } from 'express';

// eslint-disable-next-line @typescript-eslint/no-require-imports
const express4 = require('express4') as typeof express5;

/** Both versions of Express that the package supports, for `describe.each`. */
export const expressVersions: [string, typeof express5][] = [
  ['Express 4', express4],
  ['Express 5', express5],
];

/** An app whose errors are answered as JSON `{ code, message }`, with their status. */
export function jsonErrors(app: Express): Express {
  const handler: ErrorRequestHandler = (
    error: Error & { code?: string; status?: number },
    _req,
    res,
    next,
  ) => {
    if (res.headersSent) next(error);
    else res.status(error.status ?? 500).json({ code: error.code, message: error.message });
  };
  return app.use(handler);
}

/** A promise, and what settles it. */
export function deferred<T = void>(): { promise: Promise<T>; resolve: (value: T) => void } {
  let resolve!: (value: T) => void;
  const promise = new Promise<T>((settle) => (resolve = settle));
  return { promise, resolve };
}
