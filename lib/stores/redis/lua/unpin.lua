-- Ends the hold of the job's results.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
--
-- Answer   { what LimitStore.unpin says, lapsed ids }
local more, lapsed = { 'j' .. ARGV[2], '.sweep' }, {}
--- @include frees open changes record period limits quotas records rates leases settle
local job = findJob(ARGV[2])
local answer = 'unpinned'
if not job then
  answer = 'unknown'
elseif not job.pinned then
  answer = 'not-pinned'
else
  pin(job, nil)
end
--- @include save
return { answer, lapsed }
