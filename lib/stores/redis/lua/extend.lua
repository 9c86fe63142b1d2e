-- Keeps a finished job's results longer.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
-- ARGV[3]  until when, a date in ms
--
-- Answer   { what LimitStore.extend says, lapsed ids }
local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}
--- @include open changes record period limits quotas records rates leases settle
local job, to = findJob(ARGV[2]), tonumber(ARGV[3])
local answer = 'extended'
if not job or job.state == 'u' or job.state == 'l' then
  answer = 'unknown'
elseif not job.finishedAt then
  answer = 'unfinished'
elseif not job.resultsAt then
  answer = 'not-retained'
elseif not job.pinned and job.resultsAt <= date then
  answer = 'expired'
elseif to <= job.resultsAt then
  answer = 'kept'
else
  job.resultsAt, job.metadataAt = to, math.max(job.metadataAt, to)
  job.announced, job.tries = false, 0
  keep(job)
end
--- @include save
return { answer, lapsed }
