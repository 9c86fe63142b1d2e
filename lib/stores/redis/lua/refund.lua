-- Gives back exactly what this run of the job was charged.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
-- ARGV[3]  run
--
-- Answer   { what LimitStore.refund says, lapsed ids }
local more, lapsed = { 'j' .. ARGV[2] }, {}
--- @include frees open changes record period limits quotas records rates leases settle
local job = findJob(ARGV[2])
local answer = 'nothing'
if job and job.run == ARGV[3] and (job.state == 'p' or job.state == 'r') then
  undo(job, 'u')
  answer = 'refunded'
end
--- @include save
return { answer, lapsed }
