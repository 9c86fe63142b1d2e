import type { Request, Response } from 'express';
import { systemClock, type Clock } from '../clock.js';
import { ConfigError, type ErrorCode } from '../errors.js';
import type { BanLimiter, BanSettings } from '../guard/bans.js';
import { parseRange, type Range } from '../guard/client-key.js';
import type { GuardDecision, GuardLimits } from '../guard/guard.js';
import { answerChecks, type AnswerOptions } from '../http/answers.js';
import {
  boolean,
  checkOptions,
  count,
  duration,
  func,
  having,
  listOf,
  oneOf,
  optional,
  text,
  withDefault,
  type Check,
  type Checks,
} from '../options.js';
import type { Duration } from '../units.js';

/** What the guard tells as it happens. */
export interface GuardEvents {
  /** A request was refused; under `mode: 'shadow'` it would have been. Allowed requests tell nothing. */
  'high-frequency': {
    client: string;
    decision: Extract<GuardDecision, { allowed: false }>;
    mode: 'enforce' | 'shadow';
    req: Request;
  };
  /** A client is banned for so long; `began` is false where another process began the ban. */
  ban: { client: string; forMs: number; began: boolean };
  /** The limiter of `ban` failed; this process counts alone meanwhile. */
  'store-error': { operation: 'ban'; error: unknown };
  /** Something about the installation is wrong. Each code once; it is a process warning too. */
  warning: { code: ErrorCode; message: string };
}

export type GuardEmit = <K extends keyof GuardEvents>(event: K, value: GuardEvents[K]) => void;

/** A limit of events in a stretch of time, per client. */
export interface RateOptions {
  /** How many may happen; exactly this many pass. A whole number, at least 1 (errors: 0). */
  limit: number;
  /** @default '10s', as in the usual stick table */
  window?: Duration;
}

export interface BanOptions {
  /** Refused requests within `window` that bring the ban. A whole number, at least 1. */
  after: number;
  /** At least 1 s, counted in whole seconds. */
  window: Duration;
  /** How long the client stays banned. At least 1 s, counted in whole seconds. */
  for: Duration;
  /**
   * A limiter of rate-limiter-flexible, where refusals and bans of several processes meet. Its own `points` and `duration`
   * don't matter. @default one in this process
   */
  limiter?: BanLimiter;
}

/** Options of `highFrequency`. At least one of the four limits must be there; one left out isn't counted. */
export interface HighFrequencyOptions extends AnswerOptions {
  /** TCP connections that a client has open, idle ones too. Behind a trusted proxy: its requests in flight. */
  openConnections?: { limit: number };
  /** TCP connections that a client opens. Behind a trusted proxy: its requests. */
  newConnections?: RateOptions;
  /**
   * Answers of the application that are errors, and requests that can't be understood. `isError` says which answers are,
   * once they are sent. @default 4xx
   */
  errors?: RateOptions & { isError?: (req: Request, res: Response) => boolean };
  /** HTTP requests, refused ones too. */
  requests?: RateOptions;
  /** Clients remembered at once; memory for all is reserved at once, about 90 bytes each. @default 100_000 */
  maxClients?: number;
  /**
   * Who the client is, where that isn't the network address: any string. `undefined` means the address. Connections of a
   * client so named are counted as behind a proxy. @default the address, by Express's `trust proxy`
   */
  client?: (req: Request) => string | undefined;
  /** The network that is one client among IPv6 addresses, in bits, 16 to 64. @default 64 */
  ipv6Subnet?: number;
  /** Addresses that are never counted or refused: ranges such as `10.0.0.0/8` or single addresses. @default none */
  allow?: string[];
  /** Refuses everything from a client for a time after so many refusals. @default no bans */
  ban?: BanOptions;
  /** The `message` of the refusal. @default as HAProxy's */
  message?: string;
  /** `shadow` counts, decides and reports, but refuses nothing and bans nobody. @default 'enforce' */
  mode?: 'enforce' | 'shadow';
  /** The guard's own refusal counts as an error, as under HAProxy's `deny`; else as under its `return`. @default false */
  countRefusalsAsErrors?: boolean;
  /** Requests that are neither counted nor refused. @default none */
  skip?: (req: Request) => boolean;
  /** Where time comes from. @default the machine's clock */
  clock?: Clock;
  /** Told what happens, for logs and metrics; `GuardEvents` names the events and their values. @default nobody */
  emit?: GuardEmit;
}

/** The options, checked and with their defaults. */
export interface HighFrequencySettings extends AnswerOptions {
  limits: GuardLimits;
  isError: ((req: Request, res: Response) => boolean) | undefined;
  maxClients: number;
  client: ((req: Request) => string | undefined) | undefined;
  ipv6Subnet: number;
  allow: Range[];
  ban: BanSettings | undefined;
  message: string;
  enforced: boolean;
  countRefusalsAsErrors: boolean;
  skip: ((req: Request) => boolean) | undefined;
  clock: Clock;
  emit: GuardEmit;
}

const MOST_CLIENTS = 2 ** 24;
const MOST_EVENTS = 2 ** 31;
// The wording, the space at its end included, of the limit that clients of such APIs know.
const MESSAGE = 'HAProxy thinks you have sent too many requests in a given amount of time. ';

const rateChecks = (min: number) => ({
  limit: count({ min, max: MOST_EVENTS }),
  window: withDefault(duration({ min: 1 }), 10_000),
});

const group =
  <T extends object>(checks: Checks<T>): Check<T> =>
  (value, option) =>
    checkOptions(option, value, checks);

const range: Check<Range> = (value, option) => {
  const parsed = typeof value === 'string' ? parseRange(value) : undefined;
  if (parsed) return parsed;
  throw new ConfigError(
    'CONFIG_INVALID_OPTION',
    option,
    "an IP address or a range such as '10.0.0.0/8'",
    value,
  );
};

const checks = {
  ...answerChecks,
  openConnections: optional(group({ limit: count({ min: 1, max: MOST_EVENTS }) })),
  newConnections: optional(group(rateChecks(1))),
  errors: optional(
    group({ ...rateChecks(0), isError: optional(func<(req: Request, res: Response) => boolean>()) }),
  ),
  requests: optional(group(rateChecks(1))),
  maxClients: withDefault(count({ min: 1, max: MOST_CLIENTS }), 100_000),
  client: optional(func<(req: Request) => string | undefined>()),
  ipv6Subnet: withDefault(count({ min: 16, max: 64 }), 64),
  allow: withDefault(listOf(range), []),
  ban: optional(
    group({
      after: count({ min: 1, max: MOST_EVENTS }),
      window: duration({ min: 1_000 }),
      for: duration({ min: 1_000 }),
      limiter: optional(having<BanLimiter>('a limiter of rate-limiter-flexible', 'penalty', 'set', 'delete')),
    }),
  ),
  message: withDefault(text, MESSAGE),
  mode: withDefault(oneOf('enforce', 'shadow'), 'enforce'),
  countRefusalsAsErrors: withDefault(boolean, false),
  skip: optional(func<(req: Request) => boolean>()),
  clock: withDefault(having<Clock>('a clock', 'now', 'wallNow', 'every'), systemClock),
  emit: withDefault(func<GuardEmit>(), () => {}),
};

/**
 * Checks the options of `highFrequency`.
 *
 * @param owner The path for error messages.
 * @throws {ConfigError} For an option that is unknown, missing or wrong, and where no limit is given.
 */
export function highFrequencySettings(
  options: HighFrequencyOptions,
  owner = 'highFrequency',
): HighFrequencySettings {
  const checked = checkOptions<{ [K in keyof typeof checks]: ReturnType<(typeof checks)[K]> }>(
    owner,
    options,
    checks,
  );
  const { openConnections, newConnections, errors, requests, ban, mode, ...others } = checked;
  if (!openConnections && !newConnections && !errors && !requests) {
    throw new ConfigError(
      'CONFIG_MISSING_OPTION',
      owner,
      'at least one of openConnections, newConnections, errors, requests',
      options,
    );
  }
  const rate = (given: { limit: number; window: number } | undefined) =>
    given && { limit: given.limit, windowMs: given.window };
  return {
    ...(others as Omit<typeof others, keyof AnswerOptions> & AnswerOptions),
    limits: {
      openConnections,
      newConnections: rate(newConnections),
      errors: rate(errors),
      requests: rate(requests),
    },
    isError: errors?.isError,
    ban: ban && { after: ban.after, windowMs: ban.window, forMs: ban.for, limiter: ban.limiter },
    enforced: mode === 'enforce',
  };
}
