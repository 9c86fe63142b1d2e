-- Heartbeat.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
--
-- Answer   { what LimitStore.renew says, lapsed ids }
local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}
--- @include frees open changes record period limits quotas records rates leases settle
local job = findJob(ARGV[2])
local answer
if not job then
  answer = 'unknown'
elseif job.state == 'p' or job.state == 'l' then
  answer = job.state == 'p' and 'renewed' or 'reinstated'
  limitsOf(job)
  if job.state == 'l' then reinstate(job) end
  job.state = 'p'
  lease(job, now + job.terms.pendingMs)
elseif job.state == 'r' then
  local untilTime = leaseEnd(job)
  if not untilTime then
    answer = 'renewed'
  elseif untilTime <= now then
    answer = 'overrun'
  else
    answer = job.leased and 'renewed' or 'reinstated'
    lease(job, untilTime)
  end
elseif job.state == 'u' then
  answer = 'refunded'
else
  answer = 'finished'
end
--- @include save
return { answer, lapsed }
