export { bullJobId, refOfBullJob } from './job-id.js';
export { followQueue, type FollowQueueOptions, type QueueEnd } from './follow-queue.js';
export { followWorker, type FollowWorkerOptions } from './follow-worker.js';
