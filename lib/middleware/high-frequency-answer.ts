import type { Request } from 'express';
import type { Refusal } from '../decision.js';
import type { GuardDecision } from '../guard/guard.js';
import { answerRefusal, answerSettings, type Answer, type AnswerSettings } from '../http/answers.js';
import type { HighFrequencySettings } from './high-frequency-options.js';

/**
 * The guard's refusal. A wait beyond `maxWaitMs` (a long ban) is no 429: clients would ask again at once, or sleep on it.
 */
export function guardRefusal(
  { violated, retryAfterMs }: Extract<GuardDecision, { allowed: false }>,
  message: string,
  maxWaitMs: number,
): Refusal {
  return {
    allowed: false,
    code: violated.includes('ban') ? 'CLIENT_BANNED' : 'HIGH_FREQUENCY',
    message,
    error: '429 Too Many Requests',
    problem: 'abnormal-usage-detected',
    limit: violated[0],
    violated,
    retryAfterMs,
    status: retryAfterMs > maxWaitMs ? 403 : 429,
  };
}

/** How the guard answers: in `json` a 429 has the body that clients know from HAProxy in front of such APIs. */
export function guardAnswers(settings: HighFrequencySettings): AnswerSettings {
  const answers = answerSettings(settings);
  if (answers.responses !== 'json') return answers;
  const { help } = answers;
  return {
    ...answers,
    responses(refusal: Refusal, req: Request): Answer {
      const answer = answerRefusal(refusal, answers, req, settings.clock.wallNow());
      if (answer.status !== 429) return answer;
      const { error, message } = refusal;
      return { ...answer, body: { error, message, ...(help === undefined ? {} : { info: { help } }) } };
    },
  };
}
