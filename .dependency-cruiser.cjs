'use strict';

// Direction of imports: middleware → http, plans, guard, uploads, jobs → decision, stores/store, telemetry → errors, clock, units.
const base = '^lib/(errors|clock|units|options)\\.ts$';
const contract = '^lib/(decision\\.ts|stores/store\\.ts)';

/** @type {import('dependency-cruiser').IConfiguration} */
module.exports = {
  forbidden: [
    { name: 'no-cycles', severity: 'error', from: {}, to: { circular: true } },
    {
      name: 'base-stands-alone',
      severity: 'error',
      from: { path: base },
      to: { path: '^lib/', pathNot: base },
    },
    {
      name: 'contract-on-base-only',
      severity: 'error',
      from: { path: contract },
      to: { path: '^lib/', pathNot: [base, contract] },
    },
    {
      name: 'parts-do-not-import-upwards',
      severity: 'error',
      from: { path: '^lib/(http|plans|guard|uploads|jobs)/' },
      to: { path: '^lib/(middleware/|job-limits\\.ts|index\\.ts)' },
    },
    {
      name: 'telemetry-knows-nobody',
      comment: 'It says itself what it reads of events: never who somebody was.',
      severity: 'error',
      from: { path: '^lib/telemetry/' },
      to: { path: '^lib/', pathNot: [base, '^lib/telemetry/'] },
    },
    {
      name: 'telemetry-listens',
      comment: 'Nobody tells it anything: jobLimits() and jobLifecycle() let it listen.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/(telemetry/|jobs/lifecycle\\.ts$|(job-limits|index)\\.ts$)' },
      to: { path: ['^lib/telemetry/', 'node_modules/@opentelemetry/'] },
    },
    {
      name: 'express-at-the-edge',
      comment: 'Only middleware, http and job-limits know Express.',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/(middleware/|http/|job-limits\\.ts)' },
      to: { path: 'node_modules/(@types/)?express/' },
    },
    {
      name: 'no-concrete-store',
      comment: 'A store is imported by its own folder, by index.ts and where the default is made.',
      severity: 'error',
      from: { path: '^lib/', pathNot: ['^lib/(index|job-limits)\\.ts$', '^lib/stores/', '^lib/testing/'] },
      to: { path: '^lib/stores/(memory|redis)/' },
    },
    {
      name: 'stores-are-apart',
      severity: 'error',
      from: { path: '^lib/stores/([^/]+)/' },
      to: { path: '^lib/(middleware|telemetry|http|plans|guard|uploads|jobs)/' },
    },
    {
      name: 'bullmq-follows-jobs',
      comment: 'The bridge needs what follows jobs, and no store of its own.',
      severity: 'error',
      from: { path: '^lib/bullmq/' },
      to: { path: '^lib/', pathNot: [base, contract, '^lib/(jobs|bullmq)/'] },
    },
    {
      name: 'bullmq-as-a-type',
      comment: "BullMQ is the host's: nothing here loads it, and only the bridge knows it.",
      severity: 'error',
      from: { path: '^lib/' },
      to: { path: 'node_modules/bullmq/', dependencyTypesNot: ['type-only'] },
    },
    {
      name: 'bullmq-apart',
      severity: 'error',
      from: { path: '^lib/', pathNot: '^lib/bullmq/' },
      to: { path: ['node_modules/bullmq/', '^lib/bullmq/'] },
    },
    {
      name: 'client-stands-alone',
      severity: 'error',
      from: { path: '^lib/client/' },
      to: { pathNot: '^lib/client/' },
    },
  ],
  options: {
    doNotFollow: { path: 'node_modules' },
    tsConfig: { fileName: 'tsconfig.json' },
    tsPreCompilationDeps: true,
  },
};
