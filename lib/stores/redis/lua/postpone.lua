-- A task failed and is put off.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
-- ARGV[3]  what it was due for, as records.lua names it
-- ARGV[4]  when it finished, or ''
-- ARGV[5]  how often it was claimed
-- ARGV[6]  for how long, ms; '' for good
--
-- Answer   { 1 or 0 where it is not that task any more, lapsed ids }
local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}
--- @include frees open changes record period limits quotas records rates leases settle
local job, answer = find(ARGV[2]), 0
if job and job.kept and job.finishedAt == tonumber(ARGV[4]) and job.tries == tonumber(ARGV[5]) and taskOf(job) == ARGV[3] then
  keep(job, ARGV[6] == '' and math.huge or date + ARGV[6])
  answer = 1
end
--- @include save
return { answer, lapsed }
