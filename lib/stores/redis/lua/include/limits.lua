-- What jobs were admitted on: terms with the override that held then.
local terms = {}

local function counterOf(limit)
  if limit.key then return limit.name .. '\0' .. limit.key end
  return limit.name
end

-- The limit that really holds: replaced by the override's of the same name and kind.
local function overridden(limit, override)
  for i = override and #override.limits or 0, 1, -1 do
    local other = override.limits[i]
    if other.name == limit.name then
      if other.kind ~= limit.kind then return limit end
      local copy = {}
      for property, value in pairs(other) do copy[property] = value end
      copy.key = limit.key
      return copy
    end
  end
  return limit
end

local function termsOf(job, ref)
  if ref == '' then return nil end
  if not terms[ref] and job.rest ~= '' then
    for other, value in pairs(cjson.decode(job.rest)) do terms[other] = value end
  end
  terms[ref] = terms[ref] or cjson.decode(call('HGET', customerKey, 't' .. ref))
  return terms[ref]
end

-- The limits of a job that may still be charged or refunded, each counter once: { limit, counter, at, charged }. Sets
-- job.terms to those of its first admission.
local function limitsOf(job)
  if job.limits then return job.limits end
  local limits, seen = {}, {}
  for ref, overrideRef, shadowed, at in string.gmatch(job.charges, '([%w_-]+)%.([%w_-]*)~([%d,]*)@?(%d*)') do
    local of, override = termsOf(job, ref), termsOf(job, overrideRef)
    job.terms = job.terms or of
    for i, limit in ipairs(of.limits) do
      local counter = counterOf(limit)
      local held = overridden(limit, override)
      -- An infinite rate counts nothing, so that a limit of its name that is added is charged.
      local counts = held.kind ~= 'creation-rate' or held.limit
      if counts and not seen[counter] then
        seen[counter] = true
        limits[#limits + 1] = {
          limit = held, counter = counter, at = at ~= '' and at or job.at,
          charged = not string.find(',' .. shadowed .. ',', ',' .. i .. ',', 1, true),
        }
      end
    end
  end
  job.limits = limits
  return limits
end

-- The terms and overrides that the job's charges refer to, by reference.
local function refsOf(job)
  local refs = {}
  for ref, overrideRef in string.gmatch(job.charges, '([%w_-]+)%.([%w_-]*)~') do
    refs[ref] = termsOf(job, ref)
    if overrideRef ~= '' then refs[overrideRef] = termsOf(job, overrideRef) end
  end
  return refs
end

-- When the job's lease ends if it is renewed now, running; nil where nothing limits how many run.
local function leaseEnd(job)
  local maxRun, heartbeat = math.huge, math.huge
  for _, entry in ipairs(limitsOf(job)) do
    maxRun = math.min(maxRun, entry.limit.maxRunMs or math.huge)
    heartbeat = math.min(heartbeat, entry.limit.heartbeatMs or math.huge)
  end
  if maxRun == math.huge then return nil end
  return math.min(job.startedAt + maxRun, now + heartbeat)
end
