-- Jobs: in the book while they hold a lease, else among the records.
-- How many terms the book takes in before those that no job refers to are looked for.
local TIDY_TERMS = 16

local function find(id)
  local text = read('j' .. id)
  if text then
    local job = readRecord(text, id)
    job.leased = true
    return job
  end
  text = recordOf(id)
  if not text then return nil end
  local job = readRecord(text, id)
  job.kept = true
  if forgetAt(job) > date then return job end
  drop(job)
end

-- The job under that id, unless all that is known is that somebody finished it.
local function findJob(id)
  local job = find(id)
  if job and not job.unadmitted then return job end
end

-- Forgets the terms in the book that no job with a lease refers to.
local function tidyTerms(used)
  local function use(record)
    for ref, overrideRef in string.gmatch(readRecord(record).charges, '([%w_-]+)%.([%w_-]*)~') do
      used[ref], used[overrideRef] = 1, 1
    end
  end
  local entries = call('HGETALL', customerKey)
  for i = 1, #entries, 2 do
    if string.sub(entries[i], 1, 1) == 'j' then use(entries[i + 1]) end
  end
  for field, value in pairs(changed) do
    if value and string.sub(field, 1, 1) == 'j' then use(value) end
  end
  for i = 1, #entries, 2 do
    local ref = string.match(entries[i], '^t(.*)$')
    if ref and not used[ref] then call('HDEL', customerKey, entries[i]) end
  end
  changed['.terms'] = 0
end

local function storeTerms(ref, json, used)
  call('HSET', customerKey, 't' .. ref, json)
  if call('HINCRBY', customerKey, '.terms', 1) >= TIDY_TERMS then tidyTerms(used) end
end

-- Keeps the terms that the job refers to in the book.
local function keepTerms(job)
  local refs = refsOf(job)
  for ref, value in pairs(refs) do
    if call('HEXISTS', customerKey, 't' .. ref) == 0 then storeTerms(ref, cjson.encode(value), refs) end
  end
end

-- The job holds a lease until then; its slots are counted from here on.
local function lease(job, untilTime)
  if not job.leased then
    local limits = limitsOf(job)
    keepTerms(job)
    if job.kept then drop(job) end
    for _, entry in ipairs(limits) do
      if entry.charged and entry.limit.kind == 'concurrency' then hold(entry.counter, 1) end
    end
    job.rest, job.overrunAt, job.tries, job.leased = '', nil, 0, true
    jobs = jobs + 1
  end
  job.untilTime = untilTime
  changed['j' .. job.id] = writeRecord(job)
  if untilTime < due then due = untilTime end
  needed = math.max(needed or 0, untilTime + (job.state == 'r' and MONTH or HOUR))
end

-- A slot came free: takes it into the average of how often they do, in which about the last ten gaps count.
local function freed()
  local last, every = tonumber(book[7]), tonumber(book[8])
  if last then
    local gap = now - last
    if not every or gap > 300000 then every = gap else every = every + 0.2 * (gap - every) end
    book[8] = every
    changed['.every'] = every
  end
  book[7] = now
  changed['.freed'] = now
end

-- The job holds no lease any more. Its record is kept for that long; one that still runs, until a sweeper has ended it.
local function release(job, memory)
  local limits = limitsOf(job)
  if job.leased then
    local slots = 0
    for _, entry in ipairs(limits) do
      if entry.charged and entry.limit.kind == 'concurrency' then
        hold(entry.counter, -1)
        slots = slots + 1
      end
    end
    if slots > 0 then freed() end
    changed['j' .. job.id] = false
    jobs = jobs - 1
    if jobs == 0 then due = math.huge end
  end
  job.leased = false
  if string.find('rl', job.state, 1, true) then
    job.rest = cjson.encode(refsOf(job))
  else
    job.rest, job.charges = job.terms.plan or '', ''
  end
  local hardEnd = job.state == 'r' and hardEndOf(job)
  if hardEnd then
    job.overrunAt = wall(hardEnd)
    job.untilTime = job.overrunAt + MONTH
  elseif memory then
    job.untilTime = date + memory
  end
  if forgetAt(job) > date then
    keep(job)
  elseif job.kept then
    drop(job)
  end
end

-- The job runs: it holds a lease as long as its limits say, or none where nothing limits how many run.
local function start(job)
  job.state = 'r'
  job.startedAt = job.startedAt or now
  local untilTime = leaseEnd(job)
  if not untilTime then return release(job, job.terms.rememberMs) end
  if untilTime > now then
    lease(job, untilTime)
  elseif job.leased then
    changed['j' .. job.id] = writeRecord(job)
  end
  if job.leased then sweep = math.min(sweep, wall(hardEndOf(job))) end
end

-- Ends the job. What it leaves behind is kept as its terms say, or `times`; what it used is what it reserved, or `units`.
-- `false` where a period that these belong to is forgotten.
local function finish(job, state, times, units)
  limitsOf(job)
  local terms = job.terms
  local retention = terms.retention or {}
  local failed = state == 'f' or state == 'o'
  times = times or failed and retention.failed or terms.retention
  -- Held by a pin, though nothing says how long it is kept without.
  if job.pinned and not times then times = { resultsMs = 0, metadataMs = terms.rememberMs } end
  job.state, job.tries, job.overrunAt, job.noticeMs = state, 0, nil, retention.noticeMs
  job.finishedAt, job.admittedAt, job.startedAt = date, wall(job.at / 1000), wall(job.startedAt or now)
  job.resultsAt = times and date + times.resultsMs
  job.metadataAt = date + (times and times.metadataMs or terms.rememberMs)
  local settled = settleQuotas(job, units, times ~= nil)
  release(job)
  return settled
end

-- A job that had lapsed is charged anew, whatever the limits say.
local function reinstate(job)
  for _, entry in ipairs(limitsOf(job)) do
    entry.at, entry.date = stamp, date
    if entry.charged and entry.limit.kind == 'quota' then
      chargeQuota(entry, entry.amount, true)
    elseif entry.charged then
      owe('+', entry.limit, entry.counter, stamp)
    end
  end
  job.at = stamp
  job.charges = string.gsub(string.gsub(job.charges, '@%d+', ''), '%^%d+', '')
  if ahead > 0 then job.charges = string.gsub(job.charges, '#[%d,]+', '%0^' .. string.format('%.0f', ahead)) end
  if job.pinned then countPins(1) end
end

-- Gives back all that the job was charged.
local function undo(job, state)
  for _, entry in ipairs(limitsOf(job)) do
    if entry.charged and entry.limit.kind == 'quota' then
      chargeQuota(entry, -entry.amount)
    elseif entry.charged then
      owe('-', entry.limit, entry.counter, entry.at)
    end
  end
  if job.pinned then countPins(-1) end
  job.state = state
  release(job, math.min(HOUR, job.terms.rememberMs))
end

-- Writes what changed of a job that goes on as it is.
local function store(job)
  if job.leased then changed['j' .. job.id] = writeRecord(job) else keep(job) end
end

-- `nil` is no pin.
local function pin(job, reason)
  local held = isHeld(job)
  job.pinned, job.tries = reason, 0
  if held ~= isHeld(job) then countPins(held and -1 or 1) end
  store(job)
end

local function describe(job)
  local plan, startedAt, admittedAt = job.rest, job.startedAt, job.admittedAt
  if not job.finishedAt then
    admittedAt = wall(job.at / 1000)
    startedAt = startedAt and wall(startedAt)
    if job.charges ~= '' then
      limitsOf(job)
      plan = job.terms.plan
    end
  end
  local expired = ''
  if job.resultsAt and not job.pinned and date >= job.resultsAt then
    expired = date >= job.metadataAt and 'metadata' or 'results'
  end
  return {
    job.id, job.state, admittedAt, startedAt or '', job.finishedAt or '', job.leased and wall(job.untilTime) or '', plan or '',
    job.resultsAt or '', job.resultsAt and job.metadataAt or '', expired, job.pinned or '',
  }
end
