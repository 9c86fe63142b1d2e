import type express from 'express';
import type { Request, RequestHandler, Response } from 'express';
import { systemClock } from '../clock.js';
import type { Refusal } from '../decision.js';
import { answerChecks, answerSettings, type AnswerOptions } from '../http/answers.js';
import { sendRefusal } from '../http/send-refusal.js';
import {
  boolean,
  checkOptions,
  duration,
  either,
  func,
  listOf,
  optional,
  size,
  text,
  withDefault,
} from '../options.js';
import type { Duration, Size } from '../units.js';
import { bodyOf, isMultipart } from '../uploads/body.js';
import {
  fileSizeLimitChecks,
  urlCountLimitChecks,
  type CheckedUrlCountLimits,
  type UrlCountLimits,
} from '../uploads/body-limits.js';
import { malformedBody, requestTooLarge, uploadAborted } from '../uploads/refusals.js';
import { mediaType } from '../uploads/types.js';
import { asList, checkUrls, valuesAt } from '../uploads/urls.js';
import { fileSizeHandlingChecks, fileSizeOf } from './file-size.js';

/** Where URLs are found and what they may be, whatever the limits are. */
export interface UrlCountHandling extends AnswerOptions {
  /**
   * Where the URLs are: a path in the body, such as `urls`, `input.urls` or `files.*.url`, or a function that returns one
   * or several. @default 'urls'
   */
  from?: string | ((req: Request) => unknown);
  /** @default ['http', 'https'] */
  schemes?: string[];
  /** Whether URLs may lead to private addresses and to names that only a private network knows. @default false */
  privateAddresses?: boolean;
  /** Whether a URL may come twice, whatever its fragment. @default true */
  duplicates?: boolean;
  /** The largest body that is parsed, where nothing has parsed it before. @default '1mb' */
  maxRequest?: Size;
  /** How long such a body may stall. @default '30s' */
  idleTimeout?: Duration;
  /** Called when a request has more URLs than recommended. @default nothing */
  onRecommended?: (event: { received: number; recommended: number }, req: Request) => void;
  /** Requests to leave alone. @default none */
  skip?: (req: Request) => boolean;
}

export interface UrlCountOptions extends UrlCountLimits, UrlCountHandling {}

/** The checks of `UrlCountHandling`, for where the limits come from elsewhere. */
export const urlCountHandlingChecks = {
  ...answerChecks,
  from: withDefault(
    either((value) => typeof value === 'function', func<(req: Request) => unknown>(), text),
    'urls',
  ),
  schemes: withDefault(listOf(text), ['http', 'https']),
  privateAddresses: withDefault(boolean, false),
  duplicates: withDefault(boolean, true),
  maxRequest: withDefault(size, 1024 * 1024),
  idleTimeout: withDefault(duration({ min: 1 }), 30_000),
  onRecommended: optional(func<NonNullable<UrlCountHandling['onRecommended']>>()),
  skip: optional(func<(req: Request) => boolean>()),
};

export type CheckedUrlCountHandling = {
  [K in keyof typeof urlCountHandlingChecks]: ReturnType<(typeof urlCountHandlingChecks)[K]>;
};

/** The limits of one request, checked already; `undefined` where the customer's plan has none. */
export type UrlCountLimitsFor = (
  req: Request,
) => CheckedUrlCountLimits | undefined | Promise<CheckedUrlCountLimits | undefined>;

/**
 * Limits how many URLs a job is given, and which: absolute ones of the given schemes, without a password, that don't
 * lead into a private network. It uses `req.body`, or parses JSON and forms without files itself. It makes no requests.
 *
 * @throws {ConfigError} For wrong options.
 *
 * @example
 * app.post('/jobs', urlCount({ limit: 100, from: 'input.urls' }), (req, res) => {
 *   res.status(201).json({ urls: urlsOf(req) });
 * });
 */
export function urlCount(options: UrlCountOptions = {}): RequestHandler {
  const checked = checkOptions('urlCount', options, { ...urlCountLimitChecks, ...urlCountHandlingChecks });
  return urlCountOf(() => checked, checked);
}

const RECOMMENDED = 100;
const found = new WeakMap<Request, string[]>();

/**
 * The URLs of a request that passed `urlCount`, in their order, without fragments and in the normal form that was
 * checked. Fetch these: another parser may read something else into what the client wrote. Empty where there are none.
 */
export const urlsOf = (req: Request): readonly string[] => found.get(req) ?? [];

/** The middleware with limits that are looked up for each request. */
export function urlCountOf(
  limitsOf: UrlCountLimitsFor,
  checked: CheckedUrlCountHandling,
  inherited: AnswerOptions = {},
): RequestHandler {
  const answers = answerSettings(checked as AnswerOptions, inherited);
  const parse = bodyParser(checked, inherited);
  return function urlCount_(req, res, next) {
    if (checked.skip?.(req)) {
      next();
      return;
    }
    const decide = async (): Promise<void> => {
      const limits = await limitsOf(req);
      if (limits === undefined) return next();
      untilGone(parse, req, res, (error?: unknown) => {
        const known = error === undefined ? undefined : refusalOf(error, checked.maxRequest);
        if (error !== undefined && known === undefined) return next(error);
        try {
          const refusal = known ?? countUrls(req, res, limits, checked);
          if (refusal === undefined) next();
          else sendRefusal(refusal, answers, systemClock, req, res, next);
        } catch (failure) {
          next(failure);
        }
      });
    };
    decide().catch(next);
  };
}

function countUrls(
  req: Request,
  res: Response,
  { limit = Infinity, recommended }: CheckedUrlCountLimits,
  handling: CheckedUrlCountHandling,
): Refusal | undefined {
  const { from, schemes, privateAddresses, duplicates, onRecommended } = handling;
  const list = typeof from === 'string' ? valuesAt(req.body, from) : asList(from(req));
  const outcome = checkUrls(list, { limit, schemes, privateAddresses, duplicates });
  if ('allowed' in outcome) return outcome;
  found.set(req, outcome.urls);
  const advised = recommended ?? (limit === Infinity ? RECOMMENDED : undefined);
  if (advised !== undefined && list.length > advised) {
    const advice = `${list.length} URLs were given, at most ${advised} are recommended: send an archive, or batches`;
    res.append('Warning', `299 - "${advice}"`);
    onRecommended?.({ received: list.length, recommended: advised }, req);
  }
  return undefined;
}

/** As Express's parsers report a client that went away. */
const ABORTED = { type: 'request.aborted' };

/** Express's parsers wait for ever for the rest of a compressed body whose client has gone. */
function untilGone(
  parse: RequestHandler,
  req: Request,
  res: Response,
  next: (error?: unknown) => void,
): void {
  let over = false;
  const settle = (error?: unknown): void => {
    if (over) return;
    over = true;
    req.off('close', closed);
    next(error);
  };
  const closed = (): void => {
    if (!req.readableEnded) settle(ABORTED);
  };
  req.once('close', closed);
  void parse(req, res, settle);
}

/**
 * Parses a body that nobody has parsed: JSON and plain forms by Express's own parsers, forms of fields by `fileSize`'s
 * without files. `fileSize` counts in front of all of them.
 */
function bodyParser(handling: CheckedUrlCountHandling, inherited: AnswerOptions): RequestHandler {
  const { maxRequest, idleTimeout, ...rest } = handling;
  const limits = {
    ...checkOptions('urlCount', { maxFile: 0, maxRequest, maxFiles: 0 }, fileSizeLimitChecks),
    // Express's own parsers measure what a compressed body decodes to.
    maxFile: Infinity,
    maxFieldBytes: maxRequest,
  };
  const receive = fileSizeOf(
    () => limits,
    {
      ...checkOptions('urlCount', { idleTimeout }, fileSizeHandlingChecks),
      responses: rest.responses,
      deniedStatus: rest.deniedStatus,
      maxWait: rest.maxWait,
      help: rest.help,
    },
    inherited,
  );
  // Only here, so that workers can use this package without Express.
  // eslint-disable-next-line @typescript-eslint/no-require-imports
  const { json: jsonParser, urlencoded: formParser } = require('express') as typeof express;
  const json = jsonParser({ limit: maxRequest, type: () => true });
  const urlencoded = formParser({ limit: maxRequest, extended: true });
  return (req, res, next) => {
    const type = mediaType(req.headers['content-type']);
    const isJson = /^application\/(?:json|.+\+json)$/.test(type);
    const parser = isJson ? json : type === 'application/x-www-form-urlencoded' ? urlencoded : undefined;
    const body = bodyOf(req);
    if (body === 'aborted') return next(ABORTED);
    if (body !== 'unread' || (parser === undefined && !isMultipart(req))) return next();
    receive(req, res, (error?: unknown) => {
      if (error !== undefined || parser === undefined) next(error);
      else parser(req, res, next);
    });
  };
}

/** What Express's parsers complain about, as a refusal; `undefined` for what is no complaint of theirs. */
function refusalOf(error: unknown, maxRequest: number): Refusal | undefined {
  const { type, message } = error as { type?: string; message: string };
  if (type === 'entity.too.large') return requestTooLarge(maxRequest);
  if (type === ABORTED.type) return uploadAborted();
  return typeof type === 'string' ? malformedBody(message) : undefined;
}
