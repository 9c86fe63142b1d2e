import type { EventEmitter } from 'node:events';
import { JobLimitsError } from '../errors.js';
import type { LimitsEvents } from '../middleware/context.js';
import type { GuardControl } from '../middleware/high-frequency.js';
import { AttributeSets } from './attribute-sets.js';
import type { Meter } from './meter.js';

/** What is recorded of an event. */
type Recorders = { [K in keyof LimitsEvents]?: (value: LimitsEvents[K]) => void };

/**
 * Records what happens on the meter: from the events, as any listener could, and the guards' tables whenever the metrics
 * are collected. docs/reference/telemetry.md lists the instruments.
 *
 * @param guards All guards there are.
 * @returns What ends it.
 */
export function recordMetrics(meter: Meter, events: EventEmitter, guards: () => GuardControl[]): () => void {
  const recorders = { ...jobRecorders(meter), ...storeRecorders(meter), ...guardRecorders(meter) };
  for (const [event, record] of Object.entries(recorders)) events.on(event, record);
  const unwatch = watchTables(meter, guards);
  return () => {
    for (const [event, record] of Object.entries(recorders)) events.off(event, record);
    unwatch();
  };
}

/** The `plan` of a plan that was given as an object, and of limits of no plan. */
const UNNAMED = '(unnamed)';

function jobRecorders(meter: Meter): Recorders {
  const decisions = meter.createCounter('job_limits.decisions', {
    description: 'Admissions decided',
    unit: '{decision}',
  });
  const shadowRefusals = meter.createCounter('job_limits.shadow_refusals', {
    description: 'Refusals that limits in shadow mode would have made',
    unit: '{refusal}',
  });
  const running = meter.createUpDownCounter('job_limits.running', {
    description: 'Jobs admitted and not ended yet',
    unit: '{job}',
  });
  const jobEvents = meter.createCounter('job_limits.job.events', {
    description: 'What happened to jobs, and what the store answered',
    unit: '{event}',
  });
  const decided = new AttributeSets(['outcome'], ['limit', 'plan']);
  const shadowed = new AttributeSets([], ['limit', 'plan']);
  const became = new AttributeSets(['event', 'answer', 'state']);
  return {
    decision({ plan = UNNAMED, decision, joined }) {
      const { allowed } = decision;
      const outcome = allowed ? (decision.replayed ? 'replayed' : 'allowed') : 'refused';
      decisions.add(1, decided.of(outcome, allowed ? '' : decision.limit, plan));
      for (const limit of decision.shadowed) shadowRefusals.add(1, shadowed.of(limit, plan));
      if (outcome !== 'allowed' || joined) return;
      jobEvents.add(1, became.of('admit'));
      running.add(1);
    },
    commit({ answer }) {
      jobEvents.add(1, became.of('commit', answer));
      // It had lapsed.
      if (answer === 'reinstated') running.add(1);
    },
    refund({ answer }) {
      jobEvents.add(1, became.of('refund', answer));
      if (answer === 'refunded') running.add(-1);
    },
    renew({ answer }) {
      jobEvents.add(1, became.of('renew', answer));
    },
    finish({ answer, state }) {
      jobEvents.add(1, became.of('finish', answer, state));
      if (answer === 'finished') running.add(-1);
    },
    lapsed() {
      jobEvents.add(1, became.of('lapsed'));
      running.add(-1);
    },
    reconcile({ finished, restored }) {
      running.add(restored.length - finished.length);
    },
  };
}

/** From half a millisecond, what a store next door takes, to what calls have for an answer. */
const STORE_SECONDS = [0.0005, 0.001, 0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5];

function storeRecorders(meter: Meter): Recorders {
  const duration = meter.createHistogram('job_limits.store.duration', {
    description: 'How long the store took to answer',
    unit: 's',
    advice: { explicitBucketBoundaries: STORE_SECONDS },
  });
  const errors = meter.createCounter('job_limits.store.errors', {
    description: 'Calls that the store failed at',
    unit: '{error}',
  });
  const switches = meter.createCounter('job_limits.store.switches', {
    description: 'Changes of who decides: the store, or what stands in for it',
    unit: '{switch}',
  });
  const journal = meter.createCounter('job_limits.store.journal', {
    description: 'What the store was told on its return',
    unit: '{entry}',
  });
  const dropped = meter.createCounter('job_limits.store.records_dropped', {
    description: 'Records that a bounded store had to forget',
    unit: '{record}',
  });
  const answered = new AttributeSets(['operation']);
  const failed = new AttributeSets(['operation', 'error.type']);
  const switched = new AttributeSets(['to']);
  const written = new AttributeSets(['entry']);
  /** The store tells of a failure, and so does the middleware that it reaches. */
  const told = new WeakSet<object>();
  return {
    'store-answered': ({ operation, durationMs }) =>
      duration.record(durationMs / 1000, answered.of(operation)),
    'store-error'({ operation, error }) {
      if (typeof error === 'object' && error !== null) {
        if (told.has(error)) return;
        told.add(error);
      }
      errors.add(1, failed.of(operation, error instanceof JobLimitsError ? error.code : '_OTHER'));
    },
    'store-switched': ({ to }) => switches.add(1, switched.of(to)),
    'journal-written'({ adopted, dropped: lost }) {
      journal.add(adopted, written.of('adopted'));
      journal.add(lost, written.of('dropped'));
    },
    'records-dropped': ({ count }) => dropped.add(count),
  };
}

function guardRecorders(meter: Meter): Recorders {
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
 * The tables of the guards of each meter. Several `jobLimits()` may share a meter, and what is observed twice would count
 * once; so there is one observer for all.
 */
const tables = new WeakMap<Meter, Set<() => GuardControl[]>>();

function watchTables(meter: Meter, guards: () => GuardControl[]): () => void {
  let watched = tables.get(meter);
  if (watched === undefined) {
    tables.set(meter, (watched = new Set()));
    observeTables(meter, watched);
  }
  watched.add(guards);
  return () => watched.delete(guards);
}

function observeTables(meter: Meter, watched: ReadonlySet<() => GuardControl[]>): void {
  const sum = (of: (guard: GuardControl) => number) => (result: { observe(value: number): void }) => {
    const all = [...watched].flatMap((guards) => guards());
    if (all.length > 0) result.observe(all.reduce((total, guard) => total + of(guard), 0));
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
