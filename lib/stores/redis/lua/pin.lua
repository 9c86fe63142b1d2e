-- Holds the job's results until `unpin`.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
-- ARGV[3]  the reason
--
-- Answer   { what LimitStore.pin says, lapsed ids }
local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}
--- @include open changes record period limits quotas records rates leases settle
local job = findJob(ARGV[2])
local answer = 'pinned'
if not job or job.state == 'u' or job.state == 'l' then
  answer = 'unknown'
elseif job.finishedAt and not job.resultsAt then
  answer = 'not-retained'
elseif job.finishedAt and not job.pinned and job.resultsAt <= date then
  answer = 'expired'
else
  pin(job, ARGV[3])
end
--- @include save
return { answer, lapsed }
