-- Decides on a job by all limits and charges all of them or none.
--
-- KEYS[1]  the customer's book
-- KEYS[2]  the customer's lost jobs
-- KEYS[3]  the job
-- KEYS[4]  the customer's override
-- KEYS[5]  and on: for every creation rate in the order of the limits, its log and the log of its refunds
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the job's id
-- ARGV[3]  run
-- ARGV[4]  reference of the terms
-- ARGV[5]  the terms, JSON
-- ARGV[6]  how long a pending lease lives, ms
-- ARGV[7]  1: the job runs already, so it is taken in whatever the limits say, its rates uncharged
-- ARGV[8]  and on, for every limit: r creation rate | c concurrency, counter, limit or '', window in ms or '', 1: shadow
--
-- Answer   { 1 allowed | 0 refused, lapsed ids, override JSON or '', shadow limits over (indexes joined by commas),
--            limit index, used, reset ms or -1, retry ms or -1 where it does not refuse, and so on }
--          { 2 replayed, lapsed ids, job }
local id, run, ref = ARGV[2], ARGV[3], ARGV[4]
local adopt = ARGV[7] == '1'
local more = { 'j' .. id, 't' .. ref }
for i = 8, #ARGV, 5 do more[#more + 1] = (ARGV[i] == 'r' and 'w' or 'n') .. ARGV[i + 1] end
--- @include open
-- This script runs for every request, so that its usual way makes few tables and no functions, which cost most in Lua.

local entries, nextKey, rare = {}, 5, book[9] or not book[10] or now >= due
for i = 8, #ARGV, 5 do
  local index = (i - 3) / 5
  local rate = ARGV[i] == 'r'
  local stored = book[10 + index]
  entries[index] = {
    counter = ARGV[i + 1], most = tonumber(ARGV[i + 2]), windowMs = tonumber(ARGV[i + 3]), shadow = ARGV[i + 4] == '1',
    key = rate and KEYS[nextKey], refundKey = rate and KEYS[nextKey + 1],
    used = not rate and tonumber(stored) or 0, reset = -1, retry = -1, known = false, free = false,
  }
  if rate then
    nextKey = nextKey + 2
    rare = rare or stored
  end
end

local lapsed, overrideJson, overrideRef = {}, '', ''
-- Set where the job, its terms or the customer are not as they are most times.
local replayed, take, beforeCharge, addToJob

if rare or call('EXISTS', KEYS[2], KEYS[3], KEYS[4]) > 0 then
  --- @include changes record limits rates leases settle log owed
  take = hold
  local asked = cjson.decode(ARGV[5])
  terms[ref] = asked

  local override = call('GET', KEYS[4])
  if override then
    overrideRef, overrideJson = string.sub(override, 1, 8), string.sub(override, 9)
    terms[overrideRef] = cjson.decode(overrideJson)
    for i, entry in ipairs(entries) do
      local limit = overridden(asked.limits[i], terms[overrideRef])
      entry.most, entry.windowMs, entry.shadow = limit.limit, limit.windowMs, limit.mode == 'shadow'
    end
  end
  for _, entry in ipairs(entries) do
    if not entry.key then
      entry.used = heldOf(entry.counter)
    elseif owedOf(entry.counter) ~= '' then
      settleLog(entry.counter, entry.key, entry.refundKey)
    end
  end

  local known = find(id, KEYS[3])
  local ended = known and known.charges == '!'
  local again = known and not ended and known.state ~= 'u' and known.state ~= 'l'
  if (ended and adopt) or (again and known.run ~= run) then
    replayed = describe(known)
  elseif again then
    -- A second try of an admission whose answer was lost, or another middleware's limits for the same job.
    local job, charged = known, {}
    if job.state == 'p' then
      for _, entry in ipairs(limitsOf(job)) do charged[entry.counter] = true end
    end
    for _, entry in ipairs(entries) do
      entry.known = job.state ~= 'p' or charged[entry.counter]
      -- Of what is in use, this is the job's own, and no reason to refuse it.
      entry.own = job.state == 'p' and entry.known and 1
    end
    addToJob = function(charges)
      job.charges = job.charges .. '+' .. charges .. (job.at == stamp and '' or '@' .. stamp)
      keepTerms(job)
      lease(job, job.untilTime)
    end
  else
    beforeCharge = function()
      if known and known.lost then call('HDEL', lostKey, id) elseif known then call('DEL', KEYS[3]) end
      local used = { [ref] = 1, [overrideRef] = 1 }
      if not book[10] then storeTerms(ref, ARGV[5], used) end
      if override and call('HEXISTS', customerKey, 't' .. overrideRef) == 0 then
        storeTerms(overrideRef, overrideJson, used)
      end
    end
  end
end

local shadowed, free, charging, refused = '', '', false, false
for index = 1, replayed and 0 or #entries do
  local entry = entries[index]
  local most, key = entry.most, entry.key
  if key then
    local used = call('LLEN', key)
    local oldest = used > 0 and tonumber(call('LINDEX', key, 0))
    local edge = micros - entry.windowMs * 1000
    if oldest and oldest <= edge then
      --- @include log
      used, oldest = countLog(key, edge)
    end
    entry.used = used
    if oldest then
      -- Above a limit that was lowered, the oldest entries make no room yet when they leave.
      if most and most > 0 and used > most then oldest = tonumber(call('LINDEX', key, -most)) end
      entry.reset = math.ceil((oldest - micros) / 1000) + entry.windowMs
    end
  end
  if not entry.known or entry.own then
    if not entry.known then charging = true end
    if adopt then
      entry.free = not entry.known and key
    elseif most and entry.used - (entry.own or 0) >= most then
      entry.free = not entry.known
      if entry.shadow then
        if entry.free then shadowed = shadowed .. (shadowed == '' and '' or ',') .. index end
      else
        refused = true
        if most == 0 then
          entry.retry = 0
        elseif key then
          entry.retry = math.ceil((call('LINDEX', key, -most) - micros) / 1000) + entry.windowMs
        else
          -- A guess when a slot is free: at least a second, at most a minute.
          local last, every = tonumber(book[7]), tonumber(book[8])
          if not every or now - last > 300000 then every = 10000 end
          entry.retry = math.min(60000, math.max(1000, math.floor(every)))
        end
      end
    end
    if entry.free then free = free .. (free == '' and '' or ',') .. index end
  end
end

if charging and not refused then
  if beforeCharge then beforeCharge() end
  for index = 1, #entries do
    local entry = entries[index]
    if not entry.free and not entry.known then
      entry.used = entry.used + 1
      if not entry.key then
        if take then
          take(entry.counter, 1)
        else
          put[#put + 1], put[#put + 2] = 'n' .. entry.counter, entry.used
        end
      else
        if entry.most then
          call('RPUSH', entry.key, stamp)
          call('PEXPIRE', entry.key, entry.windowMs + 1)
        end
        if entry.reset < 0 then entry.reset = entry.windowMs end
        if entry.windowMs > window then
          window = entry.windowMs
          put[#put + 1], put[#put + 2] = '.window', window
        end
      end
    end
  end
  local charges = ref .. '.' .. overrideRef .. '~' .. free
  if addToJob then
    addToJob(charges)
  else
    local untilTime = now + ARGV[6]
    put[#put + 1], put[#put + 2] = 'j' .. id, 'p;' .. stamp .. ';;;' .. untilTime .. ';' .. charges .. ';'
      .. (run == id and ';' or #run .. ';' .. run)
    jobs = jobs + 1
    if untilTime < due then due = untilTime end
    needed = untilTime + 3600000
  end
end
--- @include save
if replayed then return { 2, lapsed, replayed } end

local answer = { refused and 0 or 1, lapsed, overrideJson, shadowed }
local last = 4
for index = 1, #entries do
  local entry = entries[index]
  answer[last + 1], answer[last + 2], answer[last + 3], answer[last + 4] = index, entry.used, entry.reset, entry.retry
  last = last + 4
end
return answer
