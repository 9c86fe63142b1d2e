-- Gives back exactly what this run of the job was charged.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's lost jobs
-- KEYS[3]  the job
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
-- ARGV[3]  run
--
-- Answer   { what LimitStore.refund says, lapsed ids }
local more, lapsed = {}, {}
--- @include open changes record limits rates leases settle
local job = findJob(ARGV[2], KEYS[3])
local answer = 'nothing'
if job and job.run == ARGV[3] and (job.state == 'p' or job.state == 'r') then
  undo(job, 'u')
  answer = 'refunded'
end
--- @include save
return { answer, lapsed }
