--- @include book limits record rates leases settle counters
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
-- ARGV[6]  1: the job runs already, so it is taken in whatever the limits say, its rates uncharged
--
-- Answer   { 1 allowed | 0 refused, lapsed ids, override JSON or '', shadow limits over (indexes joined by commas),
--            limit index, used, reset ms or -1, retry ms or -1 where it does not refuse, and so on }
--          { 2 replayed, lapsed ids, job }
local id, run, ref = ARGV[2], ARGV[3], ARGV[4]
local adopt = ARGV[6] == '1'
local asked = cjson.decode(ARGV[5])
terms[ref] = asked

local override, overrideRef = call('GET', KEYS[4]), ''
if override then
  overrideRef, override = string.sub(override, 1, 8), string.sub(override, 9)
  terms[overrideRef] = cjson.decode(override)
end

-- When a slot is likely free: at least a second, at most a minute.
local function estimate()
  local last, every = tonumber(book[7]), tonumber(book[8])
  if not every or now - last > 300000 then return 10000 end
  return math.min(60000, math.max(1000, math.floor(every)))
end

local entries, answer, shadowed, refused = {}, { 1, lapsed, override or '' }, {}, false

-- Looks where the limits stand of which `wanted` holds.
local function lookAt(wanted)
  local nextKey = 5
  entries = {}
  for i, limit in ipairs(asked.limits) do
    local key, refundKey
    if limit.kind == 'creation-rate' then
      key, refundKey = KEYS[nextKey], KEYS[nextKey + 1]
      nextKey = nextKey + 2
    end
    if not wanted or wanted(counterOf(limit)) then
      local entry = look(overridden(limit, terms[overrideRef]), key, refundKey)
      entry.index = i
      entries[#entries + 1] = entry
    end
  end
end

-- Finds out which of these limits refuse, and which are not to be charged.
local function decide()
  for _, entry in ipairs(entries) do
    local most = entry.limit.limit
    if adopt then
      entry.free = entry.key
    elseif most and entry.used >= most then
      entry.free = true
      if entry.limit.mode == 'shadow' then
        shadowed[#shadowed + 1] = entry.index
      else
        refused = true
        if most == 0 then
          entry.retry = 0
        elseif entry.key then
          entry.retry = untilOver(tonumber(call('LINDEX', entry.key, -most)), entry.limit)
        else
          entry.retry = estimate()
        end
      end
    end
  end
end

-- Charges these limits but for the slots, which are counted while the job holds a lease. Gives what records say of it.
local function charge()
  local free = {}
  for _, entry in ipairs(entries) do
    if entry.free then
      free[#free + 1] = entry.index
    else
      entry.used = entry.used + 1
      if entry.key then
        local windowMs = entry.limit.windowMs
        if entry.limit.limit then
          call('RPUSH', entry.key, stamp)
          call('PEXPIRE', entry.key, windowMs + 1)
        end
        if entry.reset < 0 then entry.reset = windowMs end
        if windowMs > window then
          window = windowMs
          changed['.window'] = window
        end
      end
    end
  end
  return ref .. '.' .. overrideRef .. '~' .. table.concat(free, ',')
end

local function report()
  save()
  if refused then answer[1] = 0 end
  answer[4] = table.concat(shadowed, ',')
  for _, entry in ipairs(entries) do
    answer[#answer + 1] = entry.index
    answer[#answer + 1] = entry.used
    answer[#answer + 1] = entry.reset
    answer[#answer + 1] = entry.retry
  end
  return answer
end

local job = find(id, KEYS[3])
if job and job.charges == '!' then
  -- Finished before the process that admitted it could tell of it.
  if adopt then return { 2, lapsed, describe(job) } end
  job = nil
end

if not job or job.state == 'u' or job.state == 'l' then
  lookAt()
  decide()
  if not refused then
    if job and job.lost then call('HDEL', lostKey, id) end
    lease({
      id = id, state = 'p', at = stamp, charges = charge(), run = run, rest = '', key = job and KEYS[3],
    }, now + asked.pendingMs)
  end
  return report()
end

if job.run ~= run then
  save()
  return { 2, lapsed, describe(job) }
end

-- A second try of an admission whose answer was lost, or another middleware's limits for the same job.
if job.state == 'p' then
  local known = {}
  for _, entry in ipairs(limitsOf(job)) do known[entry.counter] = true end
  lookAt(function(counter) return not known[counter] end)
  decide()
  if refused then return report() end
  if #entries > 0 then
    job.charges = job.charges .. '+' .. charge() .. (job.at == stamp and '' or '@' .. stamp)
    for _, entry in ipairs(entries) do
      if not entry.free and not entry.key then hold(entry.counter, 1) end
    end
    keepTerms(job)
    lease(job, job.untilTime)
  end
end
lookAt()
return report()
