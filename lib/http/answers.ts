import type { Request } from 'express';
import type { Refusal } from '../decision.js';
import { func, oneOf, either, optional, count, duration, text, type Checks } from '../options.js';
import type { Duration } from '../units.js';

/** A refusal as it goes over the wire. */
export interface Answer {
  status: number;
  headers: Record<string, string>;
  /** Sent as JSON unless it is a string or a Buffer. */
  body: unknown;
}

/** How refusals look. Any middleware takes these options; those of `jobLimits()` are their defaults. */
export interface AnswerOptions {
  /**
   * `json`: `{ error, message, info }`. `problem`: RFC 9457 `application/problem+json`. `next`: nothing is answered, a
   * `LimitError` goes to Express's error handler. A function makes the whole answer itself.
   * @default 'json'
   */
  responses?: 'json' | 'problem' | 'next' | ((refusal: Refusal, req: Request) => Answer);
  /** The status of a refusal by creation rate, concurrency or quota in `json`: 413 or 429. @default 413 */
  deniedStatus?: number;
  /**
   * A wait longer than this is not sent as `retryIn` or `Retry-After`, since clients would sleep on it (or overflow
   * their timers), but as the date `info.resetsAt`. @default '1h'
   */
  maxWait?: Duration;
  /** Where a customer asks for more; sent as `info.help`. @default nothing */
  help?: string;
}

export type AnswerSettings = Required<Omit<AnswerOptions, 'help' | 'maxWait'>> & {
  help?: string | undefined;
  maxWait: number;
};

/** The checks of `AnswerOptions`, to be spread into those of a middleware. */
export const answerChecks: Checks<{ [K in keyof Required<AnswerOptions>]: AnswerOptions[K] | undefined }> = {
  responses: optional(
    either(
      (value) => typeof value === 'function',
      func<(refusal: Refusal, req: Request) => Answer>(),
      oneOf('json', 'problem', 'next'),
    ),
  ),
  deniedStatus: optional(count({ min: 400, max: 599 })),
  maxWait: optional(duration({ min: 1000 })),
  help: optional(text),
};

/** The settings of one middleware: its own options, else those it inherits, else the defaults. */
export function answerSettings(own: AnswerOptions, inherited: AnswerOptions = {}): AnswerSettings {
  return {
    responses: own.responses ?? inherited.responses ?? 'json',
    deniedStatus: own.deniedStatus ?? inherited.deniedStatus ?? 413,
    maxWait: (own.maxWait ?? inherited.maxWait ?? 3_600_000) as number,
    help: own.help ?? inherited.help,
  };
}

/** Turns a refusal into its answer. Pure: neither the request nor the response is touched. */
export function answerRefusal(
  refusal: Refusal,
  settings: AnswerSettings,
  req: Request,
  wallNow: number,
): Answer {
  if (typeof settings.responses === 'function') return settings.responses(refusal, req);
  const wait = waitOf(refusal, settings.maxWait, wallNow);
  const headers: Record<string, string> = { 'Cache-Control': 'no-store' };
  if (wait.retryIn !== undefined) headers['Retry-After'] = String(wait.retryIn);
  const info = {
    ...wait,
    ...(refusal.limit === undefined ? {} : { limit: refusal.limit }),
    ...(settings.help === undefined ? {} : { help: settings.help }),
    ...refusal.info,
  };
  return settings.responses === 'problem'
    ? problem(refusal, info, headers)
    : json(refusal, info, headers, settings.deniedStatus);
}

interface Wait {
  /** Whole seconds, at least 1. */
  retryIn?: number;
  estimated?: true;
  /** ISO date. */
  resetsAt?: string;
}

function waitOf(refusal: Refusal, maxWaitMs: number, wallNow: number): Wait {
  if (refusal.retryAfterMs === undefined) return {};
  if (refusal.retryAfterMs > maxWaitMs)
    return { resetsAt: new Date(wallNow + refusal.retryAfterMs).toISOString() };
  const retryIn = Math.max(1, Math.ceil(refusal.retryAfterMs / 1000));
  return refusal.estimated ? { retryIn, estimated: true } : { retryIn };
}

function json(
  refusal: Refusal,
  info: Wait & Record<string, unknown>,
  headers: Record<string, string>,
  deniedStatus: number,
): Answer {
  // A 429 without a time makes clients retry at once and for ever, so a limit that waiting doesn't soon help is a 413.
  const waits = info.retryIn !== undefined;
  const status = refusal.status ?? (deniedStatus === 429 && !waits ? 413 : deniedStatus);
  const body = {
    error: refusal.code,
    message: refusal.message,
    ...(Object.keys(info).length > 0 ? { info } : {}),
  };
  return { status, headers, body };
}

const PROBLEM_TYPES = 'https://iana.org/assignments/http-problem-types#';

function problem(refusal: Refusal, info: Record<string, unknown>, headers: Record<string, string>): Answer {
  const type = refusal.problem;
  const status = refusal.status ?? 429;
  return {
    status,
    headers: { ...headers, 'Content-Type': 'application/problem+json' },
    body: {
      type: type === undefined ? 'about:blank' : PROBLEM_TYPES + type,
      title: refusal.message,
      status,
      code: refusal.code,
      ...(type === undefined ? {} : { 'violated-policies': refusal.violated }),
      ...info,
    },
  };
}
