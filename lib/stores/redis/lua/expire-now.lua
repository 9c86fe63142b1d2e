-- Lets the job's results expire now.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
-- ARGV[3]  1: even if it is pinned
--
-- Answer   { what LimitStore.expireNow says, lapsed ids }
local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}
--- @include frees open changes record period limits quotas records rates leases settle
local job = findJob(ARGV[2])
local answer = 'expired'
if not job or job.state == 'u' or job.state == 'l' then
  answer = 'unknown'
elseif not job.finishedAt then
  answer = 'unfinished'
elseif not job.resultsAt then
  answer = 'not-retained'
elseif job.pinned and ARGV[3] ~= '1' then
  answer = 'pinned'
else
  -- What a pin alone still held has not expired.
  local already = job.resultsAt <= date and not job.pinned
  if already then answer = 'already' end
  job.resultsAt = math.min(job.resultsAt, date)
  job.announced = true
  -- What a sweeper has taken, or put off, stays so; what was given up has a score below 0.
  if job.pinned then
    pin(job, nil)
  elseif not already or tonumber(call('ZSCORE', scheduleKey, job.id)) < 0 then
    job.tries = 0
    keep(job)
  end
end
--- @include save
return { answer, lapsed }
