-- The stored job.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
--
-- Answer   { job, lapsed ids } or { '', lapsed ids }; a job is { id, state as records write it, admitted at, started at or '',
--          finished at or '', lease until or '', plan or '', results expire at or '', metadata expire at or '', expired or '', why it
--          is pinned or '' }, times as dates in ms
local more, lapsed = { 'j' .. ARGV[2] }, {}
--- @include frees open changes record period limits quotas records rates leases settle
local job = findJob(ARGV[2])
--- @include save
return { job and describe(job) or '', lapsed }
