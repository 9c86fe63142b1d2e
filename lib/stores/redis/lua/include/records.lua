-- Jobs that hold no lease: their records are in one hash, and in a sorted set is when each is to be looked at next. The record
-- is the truth, and the set says no more than that. In it are, by score, a date in ms:
--   jobs that may be forgotten then, below 0, moved by APART, so that these are found at once
--   jobs that a sweeper has to do something about then
--   pinned ones, for which there is nothing to do, by the expiry of their results, above APART
-- The shard's index says when the customer must be looked at: maybe too early, never too late.
local recordsKey, scheduleKey, dueKey = KEYS[2], KEYS[3], KEYS[4]
-- The names of the two keys differ by it: <tag>due and <tag>c:<customer>.
local customer = string.sub(customerKey, #dueKey)
local HOUR, DAY, MONTH, CENTURY = 3600000, 86400000, 2592000000, 3155760000000
local APART = 1e15
-- How many records one script forgets at most on the way.
local TIDY = 10
local records, scores, loaded, sweep = {}, {}, {}, math.huge
-- When the last of the records that are written may be forgotten, and whether one of them is held by a pin.
local lastForget, holds = 0, false

-- A pin holds what is not undone.
local function isHeld(job)
  return job.pinned ~= nil and job.state ~= 'l' and job.state ~= 'u'
end

local function forgetAt(job)
  if isHeld(job) then return date + CENTURY end
  if job.finishedAt then return job.metadataAt + (job.resultsAt and MONTH or 0) end
  return job.untilTime
end

-- What a sweeper has to do about the job next, and when, if no pin holds it.
local function taskOf(job)
  if not job.finishedAt then
    if job.overrunAt then return 'o', job.overrunAt end
  elseif job.resultsAt then
    if job.deleted then return 'm', job.metadataAt end
    if job.noticeMs and not job.announced then return 'e', job.resultsAt - job.noticeMs end
    return 'r', job.resultsAt
  end
end

-- Keeps the job's record. It is looked at when its task is due, or at `time`; with `math.huge` not until it may be forgotten.
local function keep(job, time)
  local task, at = taskOf(job)
  time = time or at or math.huge
  if job.finishedAt and job.resultsAt and job.pinned then
    scores[job.id] = job.resultsAt + APART
  elseif task and time < math.huge then
    scores[job.id] = time
    sweep = math.min(sweep, time)
  else
    scores[job.id] = forgetAt(job) - APART
  end
  records[job.id] = writeRecord(job)
  job.kept = true
  if job.stored then lasting = math.max(lasting or 0, now + forgetAt(job) - date) end
  if isHeld(job) then holds = true else lastForget = math.max(lastForget, forgetAt(job)) end
end

-- Gives back what the job takes of limits on what is stored.
local function giveBackStored(job)
  for _, one in ipairs(job.stored or {}) do correct(one.counter, 's', 0, 0, -one.amount) end
  job.stored = nil
end

local function drop(job)
  giveBackStored(job)
  records[job.id] = false
  job.kept = false
end

-- Reads many at once.
local function load(ids)
  if #ids == 0 then return end
  for i, text in ipairs(call('HMGET', recordsKey, unpack(ids))) do loaded[ids[i]] = text end
end

local function recordOf(id)
  if records[id] ~= nil then return records[id] end
  if loaded[id] == nil then loaded[id] = call('HGET', recordsKey, id) end
  return loaded[id]
end

-- The customer who has waited for a sweeper for longest, and since when, where that is longer than a day.
local function unswept()
  local first = call('ZRANGE', dueKey, 0, 0, 'WITHSCORES')
  return first[2] and tonumber(first[2]) < date - DAY and first or {}
end

-- Longer than needed by a little, so that this is not to be done each time.
local function expire(key, ms)
  call('PEXPIRE', key, math.ceil(ms * 1.0625))
end

-- How many of the customer's jobs are pinned. As long as one is, what is known of the customer lives on for ever, as far as that
-- can be said.
local function countPins(by)
  local pins = (tonumber(read('.pins')) or 0) + by
  changed['.pins'] = pins > 0 and pins
  if pins > 0 then lasting = now + CENTURY end
end

-- Both keys live until the last record may be forgotten. When that would be without pins is kept in the book.
local function liveOn()
  local ttl, last = call('PTTL', recordsKey), tonumber(read('.last'))
  local ms = lastForget - date
  if last and not read('.pins') then
    ms = math.max(ms, last - date)
    changed['.last'] = false
  elseif last or (holds and ttl < CENTURY / 2) then
    changed['.last'] = math.max(last or date + ttl, lastForget)
    if ttl > CENTURY / 2 then return end
    ms = CENTURY
  elseif ttl >= ms then
    return
  end
  expire(recordsKey, ms)
  expire(scheduleKey, ms)
end

-- Sets when the customer must be looked at; with LT only to an earlier time, with CH to any.
local function index(flag, time)
  call('ZADD', dueKey, flag, time, customer)
  local ms = time - date + MONTH
  if call('PTTL', dueKey) < ms then expire(dueKey, ms) end
end

-- Forgets some records whose time is over, so that there are never many. Where nobody sweeps, records that wait for it may be
-- anywhere: every now and then some are looked at.
local function tidy()
  local ids = call('ZRANGEBYSCORE', scheduleKey, '-inf', date - APART, 'LIMIT', 0, TIDY)
  if micros % TIDY == 0 and call('ZRANGEBYSCORE', scheduleKey, 0, date - MONTH, 'LIMIT', 0, 1)[1] then
    for _, id in ipairs(call('ZRANDMEMBER', scheduleKey, TIDY * TIDY)) do ids[#ids + 1] = id end
  end
  load(ids)
  local dropped = 0
  for _, id in ipairs(ids) do
    local job = records[id] == nil and loaded[id] and readRecord(loaded[id], id)
    if job and forgetAt(job) <= date then
      drop(job)
      if taskOf(job) then dropped = dropped + 1 end
    end
  end
  if dropped > 0 then lapsed[#lapsed + 1] = dropped end
end

-- Writes what changed, but for what fits into the one command that is to come.
flush = function()
  local added = holds or lastForget > 0
  if added then tidy() end
  local written, scored, ids = {}, {}, {}
  for id, text in pairs(records) do
    if text then
      written[#written + 1], written[#written + 2] = id, text
      scored[#scored + 1], scored[#scored + 2] = scores[id], id
    else
      ids[#ids + 1] = id
    end
  end
  callAll('HSET', recordsKey, written)
  callAll('ZADD', scheduleKey, scored)
  callAll('HDEL', recordsKey, ids)
  callAll('ZREM', scheduleKey, ids)
  if added or changed['.pins'] == false then liveOn() end
  local known = tonumber(read('.sweep'))
  if sweep < (known or math.huge) then
    index('LT', sweep)
    if latest > 0 then changed['.sweep'] = sweep end
  elseif known and jobs == 0 and sweep == math.huge
    and not call('ZRANGEBYSCORE', scheduleKey, 0, APART, 'LIMIT', 0, 1)[1] then
    call('ZREM', dueKey, customer)
    changed['.sweep'] = false
  end
  for counter in pairs(owing) do owedOf(counter) end
  local gone = {}
  for field, value in pairs(changed) do
    if value then
      put[#put + 1], put[#put + 2] = field, value
    elseif fields[field] ~= false then
      gone[#gone + 1] = field
    end
    fields[field] = value
  end
  callAll('HDEL', customerKey, gone)
  dirty = dirty or #gone > 0
  if #put > 1000 then
    callAll('HSET', customerKey, put)
    put, dirty = {}, true
  end
  changed, records, loaded, lastForget, holds, sweep = {}, {}, {}, 0, false, math.huge
end
