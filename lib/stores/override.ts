import type { Limit, Override, Terms } from './store.js';

/** The limit that really holds: replaced by the override's of the same name and kind, its own `key` kept. */
function overridden(limit: Limit, override: Override): Limit {
  let held = limit;
  // Of two of one name the later one holds.
  const other = override.limits.findLast(({ name }) => name === limit.name);
  if (other?.kind === limit.kind) {
    held = { ...other };
    if (limit.key === undefined) delete held.key;
    else held.key = limit.key;
  }
  return override.mode === 'shadow' && held.mode !== 'shadow' ? { ...held, mode: 'shadow' } : held;
}

/** The terms that really hold for a customer with this override. */
export const overriddenTerms = <T extends Pick<Terms, 'limits'>>(terms: T, override: Override): T => ({
  ...terms,
  limits: terms.limits.map((limit) => overridden(limit, override)),
});

export const isStale = ({ expiresAt }: Override, date: number): boolean =>
  expiresAt !== undefined && expiresAt <= date;
