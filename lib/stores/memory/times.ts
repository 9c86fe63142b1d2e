/** The time of one operation on both clocks: leases and windows go by the monotonic one, quotas and what is kept by dates. */
export interface Times {
  now: number;
  date: number;
}
