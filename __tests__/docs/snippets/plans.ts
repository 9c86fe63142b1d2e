import { authenticate, host } from './host.js';

const { app } = host();
const accounts = {
  down: false,
  async find(customer: string) {
    if (this.down) throw new Error('the database is down');
    return { tier: customer === 'acme' ? ('free' as const) : ('pro' as const) };
  },
};
const log = { lines: [] as string[], warn: (line: string) => void log.lines.push(line) };

import { ManualClock } from 'express-job-limits';

const clock = new ManualClock();

// #region plans
import { definePlans, jobLimits } from 'express-job-limits';

const plans = definePlans({
  free: {
    creationRate: { limit: 250, window: '1m' },
    concurrency: { limit: 250, maxRun: '8h' },
    quotas: { unit: 'jobs', limit: 10_000, per: 'month' },
    requestRate: { limit: 20_000, window: '5m' },
    jobRetention: { results: '24h', metadata: '90d' },
  },
  pro: {
    extends: 'free',
    creationRate: [
      { name: 'burst', limit: 50, window: '1s' },
      { name: 'creation-rate', limit: 2_500, window: '1m' },
    ],
    concurrency: { limit: 2_000, maxRun: '8h', heartbeat: '90s' },
    quotas: { unit: 'jobs', limit: 100_000, per: 'month' },
  },
});

const limits = jobLimits({
  clock,
  customer: (req) => req.user?.accountId,
  plans,
  plan: async (customer) => (await accounts.find(customer)).tier,
});
// #endregion

app.use(authenticate);
app.post('/jobs', limits.admission(), (_req, res) => {
  res.status(201).end();
});

// #region stale
limits.on('plan-stale', ({ customer, error }) => {
  log.warn(`${customer} keeps its last known plan: ${String(error)}`);
});
// #endregion

import type { Plan } from 'express-job-limits';

// #region shadow
const trial: Plan = {
  creationRate: { limit: 250, window: '1m' },
  concurrency: { limit: 20, mode: 'shadow' },
};
// #endregion

// #region shadow-plan
const trialOfAll: Plan = { extends: 'free', mode: 'shadow' };
// #endregion

import { readFileSync } from 'node:fs';
let file = 'plans.json';
const setFile = (path: string): void => void (file = path);

// #region reload
process.on('SIGHUP', () => {
  try {
    limits.setPlans(readFileSync(file, 'utf8'));
  } catch (error) {
    console.error('the old plans stay in force:', error);
  }
});
// #endregion

export { accounts, app, clock, limits, log, plans, setFile, trial, trialOfAll };
