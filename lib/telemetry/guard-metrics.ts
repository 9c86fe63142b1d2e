import { AttributeSets } from './attribute-sets.js';
import type { Meter } from './meter.js';
import type { Recorders } from './recorders.js';

interface GuardEvents {
  'high-frequency': { decision: { violated: readonly [string, ...string[]] }; mode: string };
  ban: { began: boolean };
}

/** What is read of a guard when the metrics are collected. */
export interface GuardTable {
  readonly clients: number;
  readonly maxClients: number;
  readonly untracked: number;
}

export function guardRecorders(meter: Meter): Recorders<GuardEvents> {
  const refusals = meter.createCounter('job_limits.guard.refusals', {
    description: 'Requests that guards refused, or would have in shadow mode',
    unit: '{request}',
  });
  const bans = meter.createCounter('job_limits.guard.bans', {
    description: 'Bans of clients that began in this process',
    unit: '{ban}',
  });
  const refused = new AttributeSets(['limit', 'mode']);
  return {
    'high-frequency': ({ decision, mode }) => refusals.add(1, refused.of(decision.violated[0], mode)),
    ban: ({ began }) => began && bans.add(1),
  };
}

/**
 * The guards of each meter. Several `jobLimits()` may share a meter, and what is observed twice would count once; so there
 * is one observer for all.
 */
const watched = new WeakMap<Meter, Set<() => GuardTable[]>>();

/** Observes the tables of these guards until the function that it returns is called. */
export function watchTables(meter: Meter, guards: () => GuardTable[]): () => void {
  let all = watched.get(meter);
  if (all === undefined) {
    watched.set(meter, (all = new Set()));
    observe(meter, all);
  }
  all.add(guards);
  return () => all.delete(guards);
}

function observe(meter: Meter, all: ReadonlySet<() => GuardTable[]>): void {
  const sum = (of: (table: GuardTable) => number) => (result: { observe(value: number): void }) => {
    const tables = [...all].flatMap((guards) => guards());
    if (tables.length > 0) result.observe(tables.reduce((total, table) => total + of(table), 0));
  };
  meter
    .createObservableGauge('job_limits.guard.clients', {
      description: 'Clients in the tables of guards',
      unit: '{client}',
    })
    .addCallback(sum(({ clients }) => clients));
  meter
    .createObservableGauge('job_limits.guard.max_clients', {
      description: 'Clients that the tables of guards have room for',
      unit: '{client}',
    })
    .addCallback(sum(({ maxClients }) => maxClients));
  meter
    .createObservableCounter('job_limits.guard.untracked', {
      description:
        'Connections and requests let through uncounted, the table being full of connected clients',
      unit: '{event}',
    })
    .addCallback(sum(({ untracked }) => untracked));
}
