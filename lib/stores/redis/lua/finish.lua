-- Ends the job and frees its lease, exactly once. That an unknown job was finished is kept in mind for a day, for the process
-- that admitted it while the store could not be reached and will tell of it later.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
-- ARGV[3]  the state it ends in, as records write it
--
-- Answer   { what LimitStore.finish says, lapsed ids }
local more, lapsed = { 'j' .. ARGV[2] }, {}
--- @include open changes record records limits rates leases settle
local DAY = 86400000
local job = findJob(ARGV[2])
local answer
if not job then
  answer = 'unknown'
  keep({
    id = ARGV[2], run = ARGV[2], state = ARGV[3], admittedAt = date, startedAt = date, finishedAt = date, metadataAt = date + DAY,
    unadmitted = true, tries = 0, rest = '',
  })
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
