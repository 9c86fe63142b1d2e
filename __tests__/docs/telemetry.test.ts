import { EventEmitter } from 'node:events';
import { metrics as api } from '@opentelemetry/api';
import request from 'supertest';
import type { Decision, LimitsEvents, StoredJob } from '../../lib/index.js';
import type { Meter } from '../../lib/telemetry/meter.js';
import { recordMetrics } from '../../lib/telemetry/metrics.js';
import { collectMetrics } from '../support/metrics.js';
import { read, tables } from './markdown.js';
import * as telemetry from './snippets/telemetry.js';

const page = read('docs/reference/telemetry.md');
const table = (header: string): string[][] =>
  tables(page)
    .find(([cells]) => cells![0] === header)!
    .slice(1);

const kinds: Record<keyof Meter, string> = {
  createCounter: 'counter',
  createUpDownCounter: 'up-down counter',
  createHistogram: 'histogram',
  createObservableGauge: 'gauge, observed',
  createObservableCounter: 'counter, observed',
};

it('the page lists every metric that is registered, with its kind and unit', () => {
  const registered: string[][] = [];
  const meter = collectMetrics().meterProvider.getMeter('express-job-limits');
  for (const [method, kind] of Object.entries(kinds)) {
    const create = meter[method as 'createCounter'].bind(meter);
    meter[method as 'createCounter'] = (name, options) => {
      registered.push([name, kind, options!.unit!]);
      return create(name, options);
    };
  }
  recordMetrics(meter, new EventEmitter(), () => []);
  expect(table('metric').map((row) => row.slice(0, 3))).toEqual(registered);
});

const ref = { customer: 'acme', id: 'a' };
const job: StoredJob = { ref, state: 'completed', admittedAt: 0 };
const refused: Decision = {
  allowed: false,
  code: 'RATE_LIMIT_REACHED',
  message: 'Request limit reached',
  limit: 'creation-rate',
  violated: ['creation-rate'],
  limits: [],
  shadowed: ['next'],
};

/** One of each event, with all that it can carry. */
const events: LimitsEvents = {
  decision: { customer: 'acme', ref, plan: 'free', decision: refused, shadow: true, joined: false },
  commit: { ref, answer: 'committed' },
  refund: { ref, answer: 'refunded' },
  renew: { ref, answer: 'renewed' },
  finish: { ref, answer: 'finished', state: 'completed' },
  reconcile: { customer: 'acme', finished: ['a'], restored: [] },
  'shadow-refusal': { customer: 'acme', refusal: refused },
  'plan-stale': { customer: 'acme', error: new Error() },
  hold: { operation: 'pin', ref, answer: 'pinned' },
  overrun: { job },
  expiring: { job },
  expired: { job, due: 'results' },
  'expiry-failed': { job, due: 'results', error: new Error(), tries: 1, retryInMs: null },
  swept: { claimed: 3, done: 2, failed: 1, lagMs: 1_000, tookMs: 1 },
  unswept: { since: 0 },
  lapsed: { ref },
  'records-dropped': { count: 1, reason: 'maxJobs (2) was reached' },
  'store-answered': { operation: 'admit', durationMs: 1 },
  'store-error': { operation: 'admit', error: new Error() },
  'store-switched': { to: 'local', partition: '127.0.0.1:7000' },
  'journal-written': { adopted: 1, dropped: 1 },
  'high-frequency': {
    client: '127.0.0.1',
    decision: { allowed: false, violated: ['requests'], readings: {}, retryAfterMs: 1 },
    mode: 'enforce',
    req: {} as never,
  },
  ban: { client: '127.0.0.1', forMs: 1, began: true },
  warning: { code: 'GUARD_TABLE_FULL', message: '' },
};

it('the page lists every attribute of every metric, and says what each can be', async () => {
  const { meterProvider, collect } = collectMetrics();
  const emitter = new EventEmitter();
  const guard = { clients: 1, maxClients: 1, untracked: 1 };
  recordMetrics(meterProvider.getMeter('express-job-limits'), emitter, () => [guard as never]);
  for (const [event, value] of Object.entries(events)) emitter.emit(event, value);
  const recorded = (await collect()).scopeMetrics
    .flatMap(({ metrics }) => metrics)
    .map(({ descriptor, dataPoints }) => {
      const keys = dataPoints.flatMap(({ attributes }) => Object.keys(attributes));
      return [descriptor.name, [...new Set(keys)].sort().join(', ')];
    });
  const shown = table('metric').map(([name, , , attributes]) => [
    name,
    attributes!.split(', ').sort().join(', '),
  ]);
  expect(recorded.sort()).toEqual(shown.sort());
  const attributes = new Set(recorded.flatMap(([, keys]) => keys!.split(', ')).filter((key) => key !== ''));
  expect(
    table('attribute')
      .flatMap(([names]) => names!.split(', '))
      .sort(),
  ).toEqual([...attributes].sort());
});

it('the page of jobLimits lists every event, with all that it carries', () => {
  const [, ...rows] = tables(read('docs/reference/job-limits.md')).find(([cells]) => cells![0] === 'event')!;
  const shown = rows.map(([event, value]) => [event, value]);
  const carried = Object.entries(events).map(([event, value]) => [
    event,
    `{ ${Object.keys(value as object)
      .sort()
      .join(', ')} }`,
  ]);
  const sorted = shown.map(([event, value]) => [event, `{ ${value!.match(/\w+/g)!.sort().join(', ')} }`]);
  expect(sorted.sort()).toEqual(carried.sort());
});

describe('the snippets', () => {
  const { app, counted, exporter, limits } = telemetry;
  afterAll(async () => {
    await limits.close();
    api.disable();
  });

  it('record to the registered provider, and count by events', async () => {
    for (const status of [201, 413]) {
      await request(app).post('/jobs').set('authorization', 'Bearer acme').expect(status);
    }
    const { resourceMetrics } = await exporter.collect();
    const names = resourceMetrics.scopeMetrics.flatMap(({ metrics }) =>
      metrics.map(({ descriptor }) => descriptor.name),
    );
    expect(names).toContain('job_limits.decisions');
    expect(counted).toEqual({ 'limits.free.allowed': 1, 'limits.free.refused': 1 });
  });
});
