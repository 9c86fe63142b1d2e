/** What a limit counts. The names are also the default names of the limits. */
export type LimitKind = 'creation-rate' | 'concurrency' | 'quota' | 'request-rate';

/** Over which stretch a quota adds up: a calendar hour, day or month in UTC, or as long as something is stored. */
export const quotaPeriods = ['hour', 'day', 'month', 'stored'] as const;

export type QuotaPeriod = (typeof quotaPeriods)[number];

/** Whether a limit refuses (`enforce`), or decides and reports only (`shadow`). */
export type LimitMode = 'enforce' | 'shadow';

/** Where one limit stands for one customer. */
export interface LimitState {
  name: string;
  kind: LimitKind;
  /** How much is allowed. `Infinity` for a customer without this limit. */
  limit: number;
  /** How much of it is in use now, this request included where it was charged. */
  used: number;
  /** `limit - used`, never below 0. */
  remaining: number;
  /**
   * Milliseconds until `remaining` grows again by itself. `undefined` where no clock says so: nothing is in use, or
   * only the end of a running job frees it.
   */
  resetAfterMs: number | undefined;
  /** The limit's window in milliseconds; `undefined` for kinds that have none. */
  windowMs: number | undefined;
  /** Of a quota: what is counted. */
  unit: string | undefined;
  /** Of a quota: over which calendar period in UTC, or `stored`. */
  per: QuotaPeriod | undefined;
  mode: LimitMode;
}

/** A refusal, as a value. `answerRefusal` turns it into HTTP; events and logs carry it as it is. */
export interface Refusal {
  allowed: false;
  /** Stable, for programs; the `error` of the JSON answer. docs/reference/errors.md lists them all. */
  code: string;
  /** One sentence for people. */
  message: string;
  /** What the JSON answer says as `error`, where that is not the code. */
  error?: string;
  /** The registered problem type (draft-ietf-httpapi-ratelimit-headers) that fits, where one does. */
  problem?: 'quota-exceeded' | 'abnormal-usage-detected' | 'temporary-reduced-capacity';
  /** The name of the limit that decides when a retry can pass, or the only one that refused. */
  limit?: string;
  /** The names of all limits that refused. */
  violated: string[];
  /**
   * Milliseconds until a retry alone would pass: exact for rates, an estimate for concurrency (`estimated`). Missing
   * where waiting doesn't help: a limit of 0, or a body that is too large.
   */
  retryAfterMs?: number;
  /** The wait is a guess from how often this customer's slots came free lately. */
  estimated?: boolean;
  /** The status that belongs to the refusal by nature. Missing for admission, where `deniedStatus` says. */
  status?: number;
  /** More for the answer's `info`: what was allowed and what came. */
  info?: Record<string, unknown>;
}
