-- Decides on a job by all limits and charges all of them or none.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- KEYS[5]  the customer's override
-- KEYS[6]  and on: for every creation rate in the order of the limits, its log and the log of its refunds
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
-- ARGV[3]  run
-- ARGV[4]  reference of the terms
-- ARGV[5]  the terms, JSON
-- ARGV[6]  how long a pending lease lives, ms
-- ARGV[7]  1: the job runs already, so it is taken in whatever the limits say, its rates uncharged
-- ARGV[8]  and on, for every limit: w with its counter for a creation rate, n with it for concurrency; limit or ''; window
--          in ms or '' for concurrency; 1 for shadow
--
-- Answer   { 1 allowed | 0 refused, lapsed ids, override JSON or '', shadow limits over (indexes joined by commas),
--            limit index, used, reset ms or -1, retry ms or -1 where it does not refuse, and so on }
--          { 2 replayed, lapsed ids, job }
local id, run, ref = ARGV[2], ARGV[3], ARGV[4]
local adopt = ARGV[7] == '1'
local FIRST, EACH = 8, 4
local more = { 'j' .. id, 't' .. ref, '.plain' }
for i = FIRST, #ARGV, EACH do more[#more + 1] = ARGV[i] end
--- @include open
-- This script runs for every request. What costs most in Lua is making tables and functions, so that limits stay where they
-- are, in ARGV, what is found out of them goes straight into the answer, and all that is seldom needed is made only then.

local count = (#ARGV - FIRST + 1) / EACH
local rare = book[9] or not book[10] or not book[11] or now >= due
for n = 1, count do
  if book[11 + n] and ARGV[FIRST + (n - 1) * EACH + 2] ~= '' then rare = true end
end

local lapsed, overrideJson, overrideRef = {}, '', ''
-- Set where the job, its terms or the customer are not as they are most times.
local replayed, known, take, beforeCharge, addToJob

if rare or call('HEXISTS', KEYS[2], id) > 0 then
  --- @include changes record records limits rates leases settle log owed
  take = hold
  local asked = cjson.decode(ARGV[5])
  terms[ref] = asked

  local override = call('GET', KEYS[5])
  if override then
    overrideRef, overrideJson = string.sub(override, 1, 8), string.sub(override, 9)
    terms[overrideRef] = cjson.decode(overrideJson)
  elseif not book[11] then
    changed['.plain'] = 1
  end
  local nextKey = 6
  for n = 1, count do
    local i = FIRST + (n - 1) * EACH
    local limit = overridden(asked.limits[n], terms[overrideRef])
    if limit ~= asked.limits[n] then
      ARGV[i + 1], ARGV[i + 2] = limit.limit or '', limit.windowMs or ''
      ARGV[i + 3] = limit.mode == 'shadow' and '1' or ''
    end
    local counter = string.sub(ARGV[i], 2)
    if limit.kind == 'concurrency' then
      book[11 + n] = heldOf(counter)
    else
      if owedOf(counter) ~= '' then settleLog(counter, KEYS[nextKey], KEYS[nextKey + 1]) end
      nextKey = nextKey + 2
    end
  end

  local job = find(id)
  local ended = job and job.unadmitted
  local again = job and not ended and job.state ~= 'u' and job.state ~= 'l'
  if (ended and adopt) or (again and job.run ~= run) then
    replayed = describe(job)
  elseif again then
    -- A second try of an admission whose answer was lost, or another middleware's limits for the same job.
    local charged = {}
    if job.state == 'p' then
      for _, entry in ipairs(limitsOf(job)) do
        if entry.limit.kind == 'concurrency' or entry.limit.limit then charged[entry.counter] = 'own' end
      end
    end
    known = {}
    for n = 1, count do
      known[n] = job.state ~= 'p' and 'settled' or charged[string.sub(ARGV[FIRST + (n - 1) * EACH], 2)]
    end
    addToJob = function(charges)
      job.charges = job.charges .. '+' .. charges .. (job.at == stamp and '' or '@' .. stamp)
      keepTerms(job)
      lease(job, job.untilTime)
    end
  else
    beforeCharge = function()
      if job then drop(job) end
      local used = { [ref] = 1, [overrideRef] = 1 }
      if not book[10] then storeTerms(ref, ARGV[5], used) end
      if override and call('HEXISTS', customerKey, 't' .. overrideRef) == 0 then
        storeTerms(overrideRef, overrideJson, used)
      end
    end
  end
end

local answer = { 1, lapsed, overrideJson, '' }
-- Whether there is anything to charge; indexes of limits that are not charged, as records have them. Limits that the job was
-- charged to before (`own`) refuse it too, when more than their limit is in use: another plan's numbers may be lower.
-- A job without any limits is one all the same.
local charging, free, refused, shadowed = not known and not replayed, ',', false, ''
local nextKey = 6
for n = 1, replayed and 0 or count do
  local i, row = FIRST + (n - 1) * EACH, n * 4
  local most, windowMs = ARGV[i + 1] ~= '' and tonumber(ARGV[i + 1]), ARGV[i + 2]
  local key, used, reset, retry, oldest = nil, 0, -1, -1, nil
  if windowMs == '' then
    used = tonumber(book[11 + n]) or 0
  else
    key = KEYS[nextKey]
    nextKey = nextKey + 2
    used = call('LLEN', key)
    if used > 0 then
      oldest = tonumber(call('LINDEX', key, 0))
      local edge = micros - windowMs * 1000
      if oldest <= edge then
        --- @include log
        used, oldest = countLog(key, edge)
      end
      -- Above a limit that was lowered, the oldest entries make no room yet when they leave.
      if most and most > 0 and used > most then oldest = call('LINDEX', key, -most) end
      if oldest then reset = math.ceil((oldest - micros) / 1000) + windowMs end
    end
  end
  local own = known and known[n]
  if not own then charging = true end
  if adopt then
    if key then free = free .. n .. ',' end
  elseif most and used - (own and 1 or 0) >= most and own ~= 'settled' then
    if not own then free = free .. n .. ',' end
    if ARGV[i + 3] ~= '1' then
      refused = true
      if key then
        retry = most == 0 and 0 or reset
      else
        -- A guess when a slot is free: at least a second, at most a minute.
        local last, every = tonumber(book[7]), tonumber(book[8])
        if not every or now - last > 300000 then every = 10000 end
        retry = most == 0 and 0 or math.min(60000, math.max(1000, math.floor(every)))
      end
    elseif not own then
      shadowed = shadowed .. (shadowed == '' and '' or ',') .. n
    end
  end
  answer[row + 1], answer[row + 2], answer[row + 3], answer[row + 4] = n, used, reset, retry
end

if charging and not refused then
  if beforeCharge then beforeCharge() end
  nextKey = 6
  for n = 1, count do
    local i, row = FIRST + (n - 1) * EACH, n * 4
    local windowMs, key = tonumber(ARGV[i + 2]), nil
    if windowMs then
      key = KEYS[nextKey]
      nextKey = nextKey + 2
    end
    if not (known and known[n]) and (free == ',' or not string.find(free, ',' .. n .. ',', 1, true)) then
      answer[row + 2] = answer[row + 2] + 1
      if not key then
        if take then
          take(string.sub(ARGV[i], 2), 1)
        else
          put[#put + 1], put[#put + 2] = ARGV[i], answer[row + 2]
        end
      else
        if ARGV[i + 1] ~= '' then
          call('RPUSH', key, stamp)
          call('PEXPIRE', key, windowMs + 1)
        end
        if answer[row + 3] < 0 then answer[row + 3] = windowMs end
        if windowMs > window then
          window = windowMs
          put[#put + 1], put[#put + 2] = '.window', window
        end
      end
    end
  end
  local charges = ref .. '.' .. overrideRef .. '~' .. string.sub(free, 2, -2)
  if addToJob then
    addToJob(charges)
  else
    local untilTime = now + ARGV[6]
    put[#put + 1], put[#put + 2] = 'j' .. id, 'p;' .. stamp .. ';;' .. untilTime .. ';' .. charges .. ';'
      .. (run == id and ';' or 'R' .. #run .. ';' .. run)
    jobs = jobs + 1
    if untilTime < due then due = untilTime end
    needed = untilTime + 3600000
  end
end
--- @include save
if replayed then return { 2, lapsed, replayed } end
answer[4] = shadowed
if refused then answer[1] = 0 end
return answer
