import type { QuotaPeriod } from '../decision.js';

const HOUR_MS = 3_600_000;
const DAY_MS = 24 * HOUR_MS;

/** A stretch of the calendar, from `start` up to but not including `end`, epoch milliseconds. */
export interface Period {
  start: number;
  end: number;
}

/** What is stored belongs to no part of the calendar. */
const ALWAYS: Period = { start: 0, end: Infinity };

/** The hour, day or month in UTC that a date falls into. */
export function periodAt(per: QuotaPeriod, date: number): Period {
  if (per === 'stored') return ALWAYS;
  if (per === 'month') return monthAt(date);
  const length = per === 'hour' ? HOUR_MS : DAY_MS;
  const start = Math.floor(date / length) * length;
  return { start, end: start + length };
}

/** Nearly all dates asked for fall into the month that was asked for last. */
let latest: Period = { start: 0, end: 0 };

function monthAt(date: number): Period {
  if (date >= latest.start && date < latest.end) return latest;
  const day = new Date(date);
  const [year, month] = [day.getUTCFullYear(), day.getUTCMonth()];
  latest = { start: Date.UTC(year, month), end: Date.UTC(year, month + 1) };
  return latest;
}
