-- Tasks of one customer are done.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  and on, for each: what it was due for as records.lua names it, when it finished, when its results expire, its id
--
-- Answer   { how many were still to be done, lapsed ids }
local more, lapsed = { '.sweep' }, {}
--- @include frees open changes record period limits quotas records rates leases settle
local EACH = 4
local ids, confirmed = {}, 0
for i = 2, #ARGV, EACH do ids[#ids + 1] = ARGV[i + 3] end
load(ids)
for i = 2, #ARGV, EACH do
  local job = find(ARGV[i + 3])
  if job and job.finishedAt == tonumber(ARGV[i + 1]) and job.resultsAt == tonumber(ARGV[i + 2]) and taskOf(job) == ARGV[i] then
    confirmed = confirmed + 1
    if ARGV[i] == 'm' then
      drop(job)
    else
      if ARGV[i] == 'r' then
        job.deleted = true
        giveBackStored(job)
      else
        job.announced = true
      end
      job.tries = 0
      keep(job)
    end
  end
end
--- @include save
return { confirmed, lapsed }
