import type { EventEmitter } from 'node:events';
import { guardRecorders, watchTables, type GuardTable } from './guard-metrics.js';
import { jobRecorders } from './job-metrics.js';
import type { Meter } from './meter.js';
import type { Recorders } from './recorders.js';
import { storeRecorders } from './store-metrics.js';
import { sweeperRecorders } from './sweeper-metrics.js';

/** By event, what is recorded of it: an event that is not here is not counted. */
const allRecorders = (meter: Meter) => ({
  ...jobRecorders(meter),
  ...storeRecorders(meter),
  ...sweeperRecorders(meter),
  ...guardRecorders(meter),
});

type Counted<R = ReturnType<typeof allRecorders>> = R extends Recorders<infer E> ? E : never;

/** Events of which those that are counted carry what is read of them. */
type Countable<E> = { [K in keyof E & keyof Counted]: Counted[K] };

/**
 * Records what happens on the meter: from the events, as any listener could, and the guards' tables whenever the metrics
 * are collected. docs/reference/telemetry.md lists the instruments.
 *
 * @param guards All guards there are.
 * @returns What ends it.
 */
export function recordMetrics<E extends Countable<E>>(
  meter: Meter,
  events: EventEmitter,
  guards: () => GuardTable[] = () => [],
): () => void {
  const recorders = Object.entries(allRecorders(meter));
  for (const [event, record] of recorders) events.on(event, record);
  const unwatch = watchTables(meter, guards);
  return () => {
    for (const [event, record] of recorders) events.off(event, record);
    unwatch();
  };
}
