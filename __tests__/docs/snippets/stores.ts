import { jobLimits } from 'express-job-limits';

// #region memory
import { MemoryStore } from 'express-job-limits';

const store = new MemoryStore({ maxJobs: 20_000, maxCustomers: 5_000 });
const limits = jobLimits({
  store,
  customer: (req) => req.get('x-account'),
  plans: { free: { concurrency: { limit: 250 } } },
});
// #endregion

export { limits, store };
