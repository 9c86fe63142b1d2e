import type { NextFunction, Request, Response } from 'express';
import type { Clock } from '../clock.js';
import type { Refusal } from '../decision.js';
import { RequestError } from '../errors.js';
import { answerRefusal, type Answer, type AnswerSettings } from './answers.js';
import { refuse, type Drain } from './refuse.js';

/** A refusal on its way to Express's error handler, where `responses: 'next'` sends it. */
export class LimitError extends Error {
  readonly code: string;
  /** The status that would have been answered. */
  readonly status: number;
  /** The headers that would have been sent; Express's own error handler sends them. */
  readonly headers: Record<string, string>;

  constructor(
    readonly refusal: Refusal,
    answer: Answer,
  ) {
    super(refusal.message);
    this.name = 'LimitError';
    this.code = refusal.code;
    this.status = answer.status;
    this.headers = answer.headers;
  }
}

/**
 * Answers a refused request as the settings say. `next` is called only with an error.
 *
 * @param drain Given when someone is reading the body already and must not get the rest of it.
 */
export function sendRefusal(
  refusal: Refusal,
  settings: AnswerSettings,
  clock: Clock,
  req: Request,
  res: Response,
  next: NextFunction,
  drain?: Drain,
): void {
  if (settings.responses === 'next') {
    const answer = answerRefusal(refusal, { ...settings, responses: 'json' }, req, clock.wallNow());
    next(new LimitError(refusal, answer));
    return;
  }
  let answer: Answer;
  try {
    answer = answerRefusal(refusal, settings, req, clock.wallNow());
  } catch (cause) {
    next(
      new RequestError('RESPONSE_FAILED', 500, `responses(refusal, req) failed: ${String(cause)}`, { cause }),
    );
    return;
  }
  refuse(req, res, answer, drain);
}
