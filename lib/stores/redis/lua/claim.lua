-- Takes due jobs of a customer for so long, and says in the shard's index when the customer must be looked at next.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  how many at most
-- ARGV[3]  for how long, ms
--
-- Answer   { lapsed ids, for how long the customer has been due after this in ms or -1, { customer, score } of the one of the
--            shard that has waited for longest, if that is more than a day, job as job.lua describes it, what it is due for
--            as records.lua names it, tries, and so on }
local more, lapsed = { '.sweep' }, {}
--- @include frees open changes record period limits quotas records rates leases settle
flush()
local answer = { lapsed, -1, {} }
local ids = call('ZRANGEBYSCORE', scheduleKey, 0, date, 'LIMIT', 0, ARGV[2])
load(ids)
local dropped = 0
for _, id in ipairs(ids) do
  local job = loaded[id] and readRecord(loaded[id], id)
  if not job then
    records[id] = false
  elseif forgetAt(job) <= date then
    drop(job)
    dropped = dropped + 1
  else
    -- It is too late to announce what has happened.
    if job.resultsAt and job.resultsAt <= date then job.announced = true end
    local task, at = taskOf(job)
    if task and at <= date and not (job.pinned and job.resultsAt) then
      job.tries = job.tries + 1
      keep(job, date + ARGV[3])
      answer[#answer + 1], answer[#answer + 2], answer[#answer + 3] = describe(job), task, job.tries
    else
      keep(job)
    end
  end
end
if dropped > 0 then lapsed[#lapsed + 1] = dropped end
flush()
local following = tonumber(call('ZRANGEBYSCORE', scheduleKey, 0, APART, 'WITHSCORES', 'LIMIT', 0, 1)[2])
if due < math.huge then following = math.min(following or math.huge, wall(due)) end
if following then
  index('CH', following)
  answer[2] = math.max(-1, date - following)
else
  call('ZREM', dueKey, customer)
end
if latest > 0 then changed['.sweep'] = following or false end
answer[3] = unswept()
--- @include save
return answer
