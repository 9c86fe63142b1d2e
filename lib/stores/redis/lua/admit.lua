-- Decides on a job by all limits and charges all of them or none.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's jobs without lease
-- KEYS[3]  when they are to be looked at
-- KEYS[4]  the shard's index of when customers are
-- KEYS[5]  the shard's overrides
-- KEYS[6]  and on: for every creation rate in the order of the limits, its log and the log of its refunds
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
-- ARGV[3]  run
-- ARGV[4]  reference of the terms
-- ARGV[5]  the terms, JSON
-- ARGV[6]  how long a pending lease lives, ms
-- ARGV[7]  1: the job runs already, so it is taken in whatever the limits say, its rates uncharged
-- ARGV[8]  how long a job runs at most, as far as quotas mind, ms
-- ARGV[9]  amounts by unit, JSON, or ''
-- ARGV[10]  and on, for every limit: w with its counter for a creation rate, n with it for concurrency, q for a quota; limit or
--          ''; window in ms, '' for concurrency, period and amount for a quota, as in d60; 1 for shadow
--
-- Answer   { 1 allowed | 0 refused, lapsed ids, override as it was stored or '', shadow limits over (indexes joined by commas),
--            limit index, used, reset ms or -1, retry ms, -1 where it does not refuse, -2 where no wait helps, and so on }
--          { 2 replayed, lapsed ids, override, job, the run it was admitted for }
local id, run, ref = ARGV[2], ARGV[3], ARGV[4]
local adopt = ARGV[7] == '1'
local FIRST, EACH = 10, 4
local more = { 'j' .. id, 't' .. ref, '.plain' }
for i = FIRST, #ARGV, EACH do more[#more + 1] = ARGV[i] end
--- @include open
-- This script runs for every request. What costs most in Lua is making tables and functions, so that limits stay where they
-- are, in ARGV, what is found out of them goes straight into the answer, and all that is seldom needed is made only then.

local RATE, QUOTA = 119, 113
local count = (#ARGV - FIRST + 1) / EACH
local rare = book[9] or not book[10] or not book[11] or now >= due
for n = 1, count do
  if book[11 + n] and string.byte(ARGV[FIRST + (n - 1) * EACH]) == RATE then rare = true end
end

local lapsed, override, overrideRef, maxRun = {}, '', '', tonumber(ARGV[8])
-- Set where the job, its terms or the customer are not as they are most times.
local replayed, replayedRun, known, slow, beforeCharge, addToJob

if rare or call('HEXISTS', KEYS[2], id) > 0 then
  --- @include changes record period limits quotas records rates leases settle override log owed
  slow = true
  local asked = cjson.decode(ARGV[5])
  terms[ref] = asked
  -- What has expired gives back what it took of quotas, so it is looked for before these are.
  local job = find(id)

  local overrideJson
  override, overrideRef, overrideJson = overrideIn(KEYS[5])
  if override == '' and not book[11] then changed['.plain'] = 1 end
  local amounts = ARGV[9] ~= '' and cjson.decode(ARGV[9]) or {}
  local nextKey = 6
  for n = 1, count do
    local i = FIRST + (n - 1) * EACH
    local limit = overridden(asked.limits[n], terms[overrideRef])
    if limit ~= asked.limits[n] then
      ARGV[i + 1], ARGV[i + 2] = limit.limit and string.format('%.0f', limit.limit) or '', limit.windowMs or ''
      ARGV[i + 3] = limit.mode == 'shadow' and '1' or ''
      if limit.maxRunMs then maxRun = math.min(maxRun, limit.maxRunMs) end
      if limit.kind == 'quota' then
        local amount = amounts[limit.unit] or (limit.unit == 'jobs' and 1 or 0)
        ARGV[i + 2] = PERS[limit.per] .. string.format('%.0f', amount)
      end
    end
    local counter = string.sub(ARGV[i], 2)
    if limit.kind == 'creation-rate' then
      if owedOf(counter) ~= '' then settleLog(counter, KEYS[nextKey], KEYS[nextKey + 1]) end
      nextKey = nextKey + 2
    else
      book[11 + n] = read(ARGV[i])
    end
  end

  local ended = job and job.unadmitted
  local again = job and not ended and job.state ~= 'u' and job.state ~= 'l'
  if (ended and adopt) or (again and job.run ~= run) then
    replayed, replayedRun = describe(job), job.run
  elseif again then
    -- A second try of an admission whose answer was lost, or another middleware's limits for the same job.
    local charged = {}
    if job.state == 'p' then
      for _, entry in ipairs(limitsOf(job)) do
        if entry.limit.kind ~= 'creation-rate' or entry.limit.limit then charged[entry.counter] = 'own' end
      end
    end
    known = {}
    for n = 1, count do
      known[n] = job.state ~= 'p' and 'settled' or charged[string.sub(ARGV[FIRST + (n - 1) * EACH], 2)]
    end
    addToJob = function(charges, wasAhead)
      job.charges = job.charges .. '+' .. charges .. (job.at == stamp and '' or '@' .. stamp) .. wasAhead
      keepTerms(job)
      lease(job, job.untilTime)
    end
  else
    beforeCharge = function()
      if job then drop(job) end
      local used = { [ref] = 1, [overrideRef] = 1 }
      if not book[10] then storeTerms(ref, ARGV[5], used) end
      if override ~= '' and call('HEXISTS', customerKey, 't' .. overrideRef) == 0 then
        storeTerms(overrideRef, overrideJson, used)
      end
    end
  end
end

local answer = { 1, lapsed, override, '' }
-- Whether there is anything to charge; indexes of limits that are not charged, as records have them. Limits that the job was
-- charged to before (`own`) refuse it too, when more than their limit is in use: another plan's numbers may be lower.
-- A job without any limits is one all the same.
local charging, free, refused, shadowed, amounts = not known and not replayed, ',', false, '', ''
local nextKey = 6
for n = 1, replayed and 0 or count do
  local i, row = FIRST + (n - 1) * EACH, n * 4
  local most, windowMs = ARGV[i + 1] ~= '' and tonumber(ARGV[i + 1]), ARGV[i + 2]
  local key, used, reset, retry, oldest, amount, ending = nil, 0, -1, -1, nil, 1, nil
  if windowMs == '' then
    used = tonumber(book[11 + n]) or 0
  elseif string.byte(ARGV[i]) == QUOTA then
    local per = string.sub(windowMs, 1, 1)
    amounts = amounts .. (amounts == '' and '#' or ',') .. string.sub(windowMs, 2)
    amount = tonumber(string.sub(windowMs, 2))
    local sums = book[11 + n] or ''
    local which, start, finish, sum = string.match(sums, '^(%a)(%d+)%-(%d+):(%d+)')
    ending = tonumber(finish)
    if which == per and (per == 's' or (date < ending and date >= tonumber(start))) then
      used = tonumber(sum)
    else
      -- The first of its period; what is remembered of others comes after it.
      --- @include period
      start, ending = periodOf(per, date)
      local head, others = per .. start .. '-' .. ending .. ':', ''
      sum = '0:0'
      for before, its, time in string.gmatch(sums, '(%a%d+%-%d+:)(%d+):(%d+);') do
        if before == head then
          sum, used = its .. ':' .. time, tonumber(its)
        elseif tonumber(time) > date or (string.byte(before) == 115 and its ~= '0') then
          others = others .. before .. its .. ':' .. time .. ';'
        end
      end
      book[11 + n] = head .. sum .. ';' .. others
    end
    if used > 0 and per ~= 's' then reset = ending - date end
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
  elseif most and amount > 0 and used + (own and 0 or amount) > most and own ~= 'settled' then
    if not own then free = free .. n .. ',' end
    if ARGV[i + 3] ~= '1' then
      refused = true
      if most == 0 then
        retry = -2
      elseif key then
        retry = reset
      elseif ending then
        retry = amount <= most and ending > 0 and ending - date or -2
      else
        -- A guess when a slot is free: at least a second, at most a minute.
        local last, every = tonumber(book[7]), tonumber(book[8])
        if not every or now - last > 300000 then every = 10000 end
        retry = math.min(60000, math.max(1000, math.floor(every)))
      end
    elseif not own then
      shadowed = shadowed .. (shadowed == '' and '' or ',') .. n
    end
  end
  -- Clients read numbers near 2^53 wrong, not text.
  if used > 1e15 then used = string.format('%.0f', used) end
  answer[row + 1], answer[row + 2], answer[row + 3], answer[row + 4] = n, used, reset, retry
end

if charging and not refused then
  if beforeCharge then beforeCharge() end
  nextKey = 6
  for n = 1, count do
    local i, row = FIRST + (n - 1) * EACH, n * 4
    local kind, windowMs, key = string.byte(ARGV[i]), nil, nil
    if kind == RATE then
      windowMs = tonumber(ARGV[i + 2])
      key = KEYS[nextKey]
      nextKey = nextKey + 2
    end
    if not (known and known[n]) and (free == ',' or not string.find(free, ',' .. n .. ',', 1, true)) then
      local value
      if key then
        answer[row + 2] = answer[row + 2] + 1
        if ARGV[i + 1] ~= '' then
          call('RPUSH', key, stamp)
          call('PEXPIRE', key, windowMs + 1)
        end
        if answer[row + 3] < 0 then answer[row + 3] = windowMs end
        if windowMs > window then
          window = windowMs
          put[#put + 1], put[#put + 2] = '.window', window
        end
      elseif kind == QUOTA then
        local amount = tonumber(string.sub(ARGV[i + 2], 2))
        if amount > 0 then
          local head, finish, time, others = string.match(book[11 + n], '^(%a%d+%-(%d+):)%d+:(%d+)(.*)$')
          finish, time = tonumber(finish), tonumber(time)
          local sum = string.format('%.0f', answer[row + 2] + amount)
          answer[row + 2] = sum
          if finish > 0 then
            answer[row + 3] = finish - date
            time = math.max(time, finish + maxRun + 86400000)
            lasting = math.max(lasting or 0, now + time - date)
          end
          value = head .. sum .. ':' .. string.format('%.0f', time) .. others
        end
      else
        answer[row + 2] = answer[row + 2] + 1
        value = answer[row + 2]
      end
      if value and slow then
        changed[ARGV[i]] = value
      elseif value then
        put[#put + 1], put[#put + 2] = ARGV[i], value
      end
    end
  end
  local charges = ref .. '.' .. overrideRef .. '~' .. string.sub(free, 2, -2) .. amounts
  local wasAhead = ahead > 0 and amounts ~= '' and '^' .. string.format('%.0f', ahead) or ''
  if addToJob then
    addToJob(charges, wasAhead)
  else
    local untilTime = now + ARGV[6]
    put[#put + 1], put[#put + 2] = 'j' .. id, 'p;' .. stamp .. ';;' .. untilTime .. ';' .. charges .. wasAhead .. ';'
      .. (run == id and ';' or 'R' .. #run .. ';' .. run)
    jobs = jobs + 1
    if untilTime < due then due = untilTime end
    needed = untilTime + 3600000
  end
end
--- @include save
if replayed then return { 2, lapsed, override, replayed, replayedRun } end
answer[4] = shadowed
if refused then answer[1] = 0 end
return answer
