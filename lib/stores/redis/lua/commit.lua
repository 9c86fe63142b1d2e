-- Pending to running.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
-- ARGV[3]  1: only if the job is of this run
-- ARGV[4]  run
--
-- Answer   { what LimitStore.commit says, lapsed ids }
local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}
--- @include frees open changes record period limits quotas records rates leases settle
local job = findJob(ARGV[2])
local answer
if not job then
  answer = 'unknown'
elseif ARGV[3] == '1' and job.run ~= ARGV[4] then
  answer = 'superseded'
elseif job.state == 'p' then
  start(job)
  answer = 'committed'
elseif job.state == 'l' then
  reinstate(job)
  start(job)
  answer = 'reinstated'
elseif job.state == 'r' then
  answer = 'already'
elseif job.state == 'u' then
  answer = 'refunded'
else
  answer = 'finished'
end
--- @include save
return { answer, lapsed }
