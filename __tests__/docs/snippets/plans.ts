import { authenticate, host } from './host.js';

const { app } = host();
const accounts = { find: async (customer: string) => ({ tier: customer === 'acme' ? 'free' : 'pro' }) };

import { ManualClock } from 'express-job-limits';

const clock = new ManualClock();

// #region plans
import { jobLimits, type Plan } from 'express-job-limits';

const plans: Record<string, Plan> = {
  free: {
    creationRate: { limit: 250, window: '1m' },
    concurrency: { limit: 250, maxRun: '8h' },
    requestRate: { limit: 20_000, window: '5m' },
  },
  pro: {
    creationRate: [
      { name: 'burst', limit: 50, window: '1s' },
      { name: 'creation-rate', limit: 2_500, window: '1m' },
    ],
    concurrency: { limit: 2_000, maxRun: '8h', heartbeat: '90s' },
  },
};

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

// #region shadow
const trial: Plan = {
  creationRate: { limit: 250, window: '1m' },
  concurrency: { limit: 20, mode: 'shadow' },
};
// #endregion

// #region override
async function raiseLimit(customer: string): Promise<void> {
  await limits.store.setOverride(customer, {
    limits: [
      { kind: 'creation-rate', name: 'creation-rate', limit: 1_000, windowMs: 60_000, mode: 'enforce' },
    ],
  });
}
// #endregion

// #region block
async function block(customer: string): Promise<void> {
  await limits.store.setOverride(customer, {
    limits: [{ kind: 'creation-rate', name: 'creation-rate', limit: 0, windowMs: 60_000, mode: 'enforce' }],
  });
}
// #endregion

// #region unset
async function removeOverride(customer: string): Promise<void> {
  await limits.store.setOverride(customer, null);
}
// #endregion

const readPlans = (): Record<string, Plan> => ({
  free: { creationRate: { limit: 1, window: '1m' } },
  pro: {},
});
// #region reload
process.on('SIGHUP', () => {
  try {
    limits.setPlans(readPlans());
  } catch (error) {
    console.error('the old plans stay in force:', error);
  }
});
// #endregion

export { app, block, limits, plans, raiseLimit, removeOverride, trial };
