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
-- ARGV[4]  how long its results are kept, ms; '' where its terms say
-- ARGV[5]  how long its metadata are kept, ms
-- ARGV[6]  how much it used by unit, JSON, or ''
-- ARGV[7]  1: to be told whether anybody sweeps
--
-- Answer   { what LimitStore.finish says, lapsed ids, then { customer, score } of the one of the shard that has waited for a
--            sweeper for longest, if that is more than a day, or {} }
local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}
--- @include frees open changes record period limits quotas records rates leases settle
local job = findJob(ARGV[2])
local times = ARGV[4] ~= '' and { resultsMs = tonumber(ARGV[4]), metadataMs = tonumber(ARGV[5]) } or nil
local answer
if not job then
  answer = times and 'finished' or 'unknown'
  keep({
    id = ARGV[2], run = ARGV[2], state = ARGV[3], admittedAt = date, startedAt = date, finishedAt = date, tries = 0, rest = '',
    resultsAt = times and date + times.resultsMs, metadataAt = date + (times and times.metadataMs or DAY),
    unadmitted = not times,
  })
elseif job.state == 'u' then
  answer = 'refunded'
elseif job.state == 'p' or job.state == 'l' or job.state == 'r' then
  if job.state == 'l' then reinstate(job) end
  local units = ARGV[6] ~= '' and cjson.decode(ARGV[6]) or nil
  answer = finish(job, ARGV[3], times, units) and 'finished' or 'unsettled'
else
  answer = 'already'
end
local waiting = ARGV[7] == '1' and unswept() or {}
--- @include save
return { answer, lapsed, waiting }
