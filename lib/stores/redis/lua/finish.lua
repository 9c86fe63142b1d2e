-- Ends the job and frees its lease, exactly once. That an unknown job was finished is kept in mind for a day, for the process
-- that admitted it while the store could not be reached and will tell of it later.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's lost jobs
-- KEYS[3]  the job
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
-- ARGV[3]  the state it ends in, as records write it
--
-- Answer   { what LimitStore.finish says, lapsed ids }
local more, lapsed = {}, {}
--- @include open changes record limits rates leases settle
local DAY = 86400000
local job = findJob(ARGV[2], KEYS[3])
local answer
if not job then
  answer = 'unknown'
  call('SET', KEYS[3], writeRecord({
    id = ARGV[2], state = ARGV[3], at = stamp, startedAt = now, finishedAt = wall(now), untilTime = now + DAY, charges = '!',
    run = ARGV[2], rest = '',
  }), 'PX', DAY)
elseif job.state == 'u' then
  answer = 'refunded'
elseif job.state == 'p' or job.state == 'l' or job.state == 'r' then
  if job.state == 'l' then chargeRates(job) end
  finish(job, ARGV[3])
  answer = 'finished'
else
  answer = 'already'
end
--- @include save
return { answer, lapsed }
