-- Makes the leases agree with the host's own list of running jobs.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- KEYS[5]  the shard's overrides
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  grace, ms
-- ARGV[3]  reference of the terms
-- ARGV[4]  the terms, JSON
-- ARGV[5]  and on: the ids of the listed jobs
--
-- Answer   { lapsed ids, ids finished, ids restored }
local more, lapsed = {}, {}
--- @include open changes record period limits quotas records rates leases settle override
local grace, ref = tonumber(ARGV[2]), ARGV[3]
local asked = cjson.decode(ARGV[4])
local listed, finished, restored = {}, {}, {}
for i = 5, #ARGV do listed[ARGV[i]] = true end

if jobs > 0 then
  local entries = call('HGETALL', customerKey)
  for i = 1, #entries, 2 do
    local id = string.sub(entries[i], 2)
    if string.sub(entries[i], 1, 1) == 'j' and changed[entries[i]] == nil and not listed[id] then
      local job = readRecord(entries[i + 1], id)
      job.leased = true
      if job.state == 'r' and now - job.startedAt >= grace then
        finish(job, 'c')
        finished[#finished + 1] = id
      end
    end
  end
end

local _, overrideRef = overrideIn(KEYS[5])
terms[ref] = asked

-- Its rates and quotas were charged when it was created, by a store that has forgotten it.
local free = {}
for i, limit in ipairs(asked.limits) do
  if limit.kind ~= 'concurrency' then free[#free + 1] = i end
end

for i = 5, #ARGV do
  local id = ARGV[i]
  local job = listed[id] and findJob(id)
  if not listed[id] then
    job = nil
  elseif not job then
    job = {
      id = id, state = 'r', at = stamp, untilTime = 0, run = id, rest = '', tries = 0,
      charges = ref .. '.' .. overrideRef .. '~' .. table.concat(free, ','),
    }
  elseif job.leased then
    job = nil
  elseif job.state == 'l' then
    reinstate(job)
  elseif job.state ~= 'r' then
    job = nil
  end
  listed[id] = nil
  if job then
    start(job)
    if job.leased then restored[#restored + 1] = id end
  end
end
--- @include save
return { lapsed, finished, restored }
