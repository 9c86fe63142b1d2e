-- Jobs: in the book while they hold a lease; in the customer's hash of lost ones when another job's script freed the lease,
-- since a script only touches keys it is given; else under a key of their own.
local lostKey = KEYS[2]
local HOUR, MONTH = 3600000, 2592000000
-- How many entries the hash of lost jobs takes in before those that may be forgotten are looked for.
local TIDY = 512
-- How many terms the book takes in before those that no job refers to are looked for.
local TIDY_TERMS = 16

local function find(id, key)
  local text = call('HGET', customerKey, 'j' .. id)
  local job
  if text then
    job = readRecord(text, id)
    job.leased = true
  else
    text = call('HGET', lostKey, id)
    local lost = text and true
    text = text or call('GET', key)
    if not text then return nil end
    job = readRecord(text, id)
    if job.untilTime <= now then return nil end
    job.lost = lost
  end
  job.key = key
  return job
end

-- The job under that id, unless all that is known is that somebody finished it.
local function findJob(id, key)
  local job = find(id, key)
  if job and job.charges ~= '!' then return job end
end

local function lose(job)
  call('HSET', lostKey, job.id, writeRecord(job))
  local memory = job.untilTime - now
  if call('PTTL', lostKey) < memory then call('PEXPIRE', lostKey, memory) end
  if call('HLEN', lostKey) % TIDY > 0 then return end
  local entries = call('HGETALL', lostKey)
  for i = 1, #entries, 2 do
    if readRecord(entries[i + 1]).untilTime <= now then call('HDEL', lostKey, entries[i]) end
  end
end

-- Forgets the terms in the book that no job with a lease refers to.
local function tidyTerms(used)
  local entries = call('HGETALL', customerKey)
  for i = 1, #entries, 2 do
    if string.sub(entries[i], 1, 1) == 'j' then
      local charges = readRecord(entries[i + 1]).charges
      for ref, overrideRef in string.gmatch(charges, '([%w_-]+)%.([%w_-]*)~') do used[ref], used[overrideRef] = 1, 1 end
    end
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
    if job.lost then call('HDEL', lostKey, job.id) elseif job.key then call('DEL', job.key) end
    for _, entry in ipairs(limits) do
      if entry.charged and entry.limit.kind == 'concurrency' then hold(entry.counter, 1) end
    end
    job.rest, job.lost, job.leased = '', nil, true
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

-- The job holds no lease any more and is remembered that long.
local function release(job, memory, inLost)
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
  if string.find('rl', job.state, 1, true) then
    job.rest = cjson.encode(refsOf(job))
  else
    job.rest, job.charges = job.terms.plan or '', ''
  end
  if job.lost and not inLost then call('HDEL', lostKey, job.id) end
  job.leased, job.lost = false, inLost
  job.untilTime = now + memory
  if memory == 0 then
    if not inLost then call('DEL', job.key) end
  elseif inLost then
    lose(job)
  else
    call('SET', job.key, writeRecord(job), 'PX', memory)
  end
end

-- The job runs: it holds a lease as long as its limits say, or none where nothing limits how many run.
local function start(job)
  job.state = 'r'
  job.startedAt = job.startedAt or now
  local untilTime = leaseEnd(job)
  if not untilTime then
    release(job, job.terms.rememberMs)
  elseif untilTime > now then
    lease(job, untilTime)
  elseif job.leased then
    changed['j' .. job.id] = writeRecord(job)
  end
end

local function finish(job, state, inLost)
  limitsOf(job)
  job.state = state
  job.startedAt = job.startedAt or now
  job.finishedAt = wall(now)
  release(job, job.terms.rememberMs, inLost)
end

-- Gives back all that the job was charged.
local function undo(job, state, inLost)
  for _, entry in ipairs(limitsOf(job)) do
    if entry.charged then owe('-', entry.limit, entry.counter, entry.at) end
  end
  job.state = state
  release(job, math.min(HOUR, job.terms.rememberMs), inLost)
end

local function describe(job)
  local plan
  if job.charges == '' or job.charges == '!' then
    plan = job.rest
  else
    limitsOf(job)
    plan = job.terms.plan
  end
  return {
    job.id, job.state, wall(job.at / 1000), wall(job.startedAt), job.finishedAt or '', job.leased and wall(job.untilTime) or '',
    plan or '',
  }
end
