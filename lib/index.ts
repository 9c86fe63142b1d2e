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
  type KeptJob,
  type LimitUsage,
  type RunningJob,
  type StandaloneUsageOptions,
} from './middleware/usage.js';
export { highFrequency, type GuardControl, type HighFrequency } from './middleware/high-frequency.js';
export type { BanOptions, GuardEvents, HighFrequencyOptions } from './middleware/high-frequency-options.js';
export { Guard, type GuardDecision, type GuardLimits, type GuardRow } from './guard/guard.js';
export { clientAt, clientNamed, type Client } from './guard/client-key.js';
export {
  archiveLimits,
  archivesOf,
  type ArchiveHandling,
  type ArchiveLimitsOptions,
  type InspectedArchive,
} from './middleware/archive-limits.js';
export {
  closeArchiveWorkers,
  inspectArchive,
  type ArchiveAccepted,
  type ArchiveCode,
  type ArchiveFormat,
  type ArchiveLimits,
  type ArchiveOutcome,
  type ArchiveRejected,
} from './uploads/archives/index.js';
export { fileSize, type FileSizeHandling, type FileSizeOptions } from './middleware/file-size.js';
export { urlCount, urlsOf, type UrlCountHandling, type UrlCountOptions } from './middleware/url-count.js';
export type { FileSizeLimits, UrlCountLimits } from './uploads/body-limits.js';
export type { UploadedFile, UploadStorage } from './uploads/storage.js';
export { answerExpect } from './uploads/expect.js';
export { isPublicAddress } from './uploads/urls.js';
export {
  jobRetention,
  type JobRetentionOptions,
  type StandaloneJobRetentionOptions,
} from './middleware/job-retention.js';
export type { LimitsEvents, SharedOptions } from './middleware/context.js';
export type { CostOf } from './middleware/cost.js';
export type { Overrides } from './middleware/overrides.js';

export type { AdmittedJob } from './jobs/admitted-job.js';
export {
  jobLifecycle,
  type JobLifecycle,
  type JobLifecycleOptions,
  type JobOutcome,
  type Lifecycle,
} from './jobs/lifecycle.js';
export type { LifecycleEvents, SweepReport } from './jobs/events.js';
export type { ExpiryTask, OnExpire, SweepOptions } from './jobs/sweep-options.js';
export type { Sweeper } from './jobs/sweeper.js';
export type { RenewOptions } from './jobs/renew-while.js';
export type {
  ConcurrencyOptions,
  QuotaOptions,
  RateOptions,
  RequestRateOptions,
  StorageOptions,
} from './plans/limits.js';
export type { CustomerOverride, OverrideLimits, OverrideOptions } from './plans/override.js';
export type { Plan } from './plans/plan.js';
export { definePlans } from './plans/plan-set.js';
export type { RetentionDurations, RetentionOptions } from './plans/retention.js';
export type { PlanOf } from './plans/plans.js';
export type { Answer, AnswerOptions } from './http/answers.js';
export type { CustomerOf } from './http/customer.js';
export { jobOfRequest, storedJobOfRequest } from './http/request-state.js';
export { LimitError } from './http/send-refusal.js';

export { readFormPrefix, type FormPrefixOptions } from './uploads/form-prefix.js';

export { FailoverStore, type FailoverOptions } from './stores/failover/failover-store.js';
export { RedisStore, type RedisStoreOptions } from './stores/redis/redis-store.js';
export { MemoryStore, type MemoryStoreOptions } from './stores/memory/memory-store.js';
export type {
  Admitted,
  AdmitRequest,
  Amounts,
  Claim,
  ConcurrencyLimit,
  Decision,
  Due,
  EndState,
  JobRef,
  JobState,
  Limit,
  LimiterOptions,
  LimitStore,
  Outcome,
  Override,
  QuotaLimit,
  RateLimit,
  Refused,
  Replayed,
  Retention,
  RetentionTimes,
  StoredJob,
  StoreEvent,
  Terms,
  Usage,
} from './stores/store.js';
export type { LimitKind, LimitMode, LimitState, QuotaPeriod, Refusal } from './decision.js';

export {
  ConfigError,
  errorCodes,
  JobLimitsError,
  RequestError,
  StoreError,
  type ErrorCode,
} from './errors.js';
export type { Meter, MeterProvider, TelemetryOptions } from './telemetry/meter.js';
export { ManualClock, systemClock, type Clock } from './clock.js';
export type { Duration, Size } from './units.js';
