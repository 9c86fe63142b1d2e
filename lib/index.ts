export { jobLimits, type JobLimits, type JobLimitsOptions } from './job-limits.js';

export {
  admission,
  type AdmissionOptions,
  type StandaloneAdmissionOptions,
  type ReplayHandler,
} from './middleware/admission.js';
export {
  creationRate,
  type CreationRateOptions,
  type StandaloneCreationRateOptions,
} from './middleware/creation-rate.js';
export {
  concurrency,
  type ConcurrencyMiddlewareOptions,
  type StandaloneConcurrencyOptions,
} from './middleware/concurrency.js';
export {
  requestRate,
  type RequestRateMiddlewareOptions,
  type StandaloneRequestRateOptions,
} from './middleware/request-rate.js';
export {
  usage,
  type CustomerUsage,
  type LimitUsage,
  type RunningJob,
  type StandaloneUsageOptions,
} from './middleware/usage.js';
export type { LimitsEvents, SharedOptions } from './middleware/context.js';

export type { AdmittedJob } from './jobs/admitted-job.js';
export type { ConcurrencyOptions, Plan, RateOptions, RequestRateOptions } from './plans/plan.js';
export type { PlanOf } from './plans/plans.js';
export type { Answer, AnswerOptions } from './http/answers.js';
export type { CustomerOf } from './http/customer.js';
export { LimitError } from './http/send-refusal.js';

export { MemoryStore, type MemoryStoreOptions } from './stores/memory/memory-store.js';
export type * from './stores/store.js';
export type { LimitKind, LimitMode, LimitState, Refusal } from './decision.js';

export {
  ConfigError,
  errorCodes,
  JobLimitsError,
  RequestError,
  StoreError,
  type ErrorCode,
} from './errors.js';
export { ManualClock, systemClock, type Clock } from './clock.js';
export type { Duration, Size } from './units.js';
