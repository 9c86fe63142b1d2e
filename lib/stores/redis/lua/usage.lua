-- Where the customer stands, and who holds its leases. Charges nothing.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- KEYS[5]  the shard's overrides
-- KEYS[6]  and on: for every creation rate in the order of the limits, its log and the log of its refunds
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the limits, JSON
-- ARGV[3]  how many kept jobs are asked for
--
-- Answer   { lapsed ids, override as it was stored or '', jobs that hold a lease and kept ones, both as job.lua describes them, limit index, used, reset ms or -1, and so on }
local more, lapsed = {}, {}
--- @include frees open changes record period limits quotas records rates leases settle override log owed
local override, overrideRef = overrideIn(KEYS[5])
local running, kept = {}, {}
local answer = { lapsed, override, running, kept }
local nextKey = 6
for i, limit in ipairs(cjson.decode(ARGV[2]).limits) do
  local key, refundKey
  if limit.kind == 'creation-rate' then
    key, refundKey = KEYS[nextKey], KEYS[nextKey + 1]
    nextKey = nextKey + 2
  end
  limit = overridden(limit, terms[overrideRef])
  local counter, used, reset = counterOf(limit), nil, -1
  if key then
    if owedOf(counter) ~= '' then settleLog(counter, key, refundKey) end
    local oldest
    used, oldest = countLog(key, micros - limit.windowMs * 1000)
    local most = limit.limit
    -- Above a limit that was lowered, the oldest entries make no room yet when they leave.
    if most and most > 0 and used > most then oldest = call('LINDEX', key, -most) end
    if oldest then reset = math.ceil((oldest - micros) / 1000) + limit.windowMs end
  elseif limit.kind == 'quota' then
    local ending
    used, ending = usedOf(counter, PERS[limit.per])
    if used > 0 and ending > 0 then reset = ending - date end
  else
    used = heldOf(counter)
  end
  answer[#answer + 1] = i
  answer[#answer + 1] = used > 1e15 and string.format('%.0f', used) or used
  answer[#answer + 1] = reset
end
if jobs > 0 then
  local entries = call('HGETALL', customerKey)
  for i = 1, #entries, 2 do
    if string.sub(entries[i], 1, 1) == 'j' and changed[entries[i]] == nil then
      local job = readRecord(entries[i + 1], string.sub(entries[i], 2))
      job.leased = true
      running[#running + 1] = describe(job)
    end
  end
end
local most = tonumber(ARGV[3])
if most > 0 then
  flush()
  -- Mostly in the order in which results expire: not where one is to be announced first. So some more are looked at; of those
  -- that are due, the latest, whose announcement may be late.
  local ids = call('ZRANGEBYSCORE', scheduleKey, '(' .. date, APART, 'LIMIT', 0, most * 2)
  for _, id in ipairs(call('ZREVRANGEBYSCORE', scheduleKey, date, 0, 'LIMIT', 0, most)) do ids[#ids + 1] = id end
  for _, id in ipairs(call('ZRANGEBYSCORE', scheduleKey, '(' .. APART, '+inf', 'LIMIT', 0, most)) do ids[#ids + 1] = id end
  load(ids)
  for _, id in ipairs(ids) do
    local job = loaded[id] and readRecord(loaded[id], id)
    if job and job.resultsAt and (job.pinned or job.resultsAt > date) then kept[#kept + 1] = job end
  end
  table.sort(kept, function(a, b) return a.resultsAt < b.resultsAt end)
  for i = #kept, 1, -1 do kept[i] = i <= most and describe(kept[i]) or nil end
end
--- @include save
return answer
