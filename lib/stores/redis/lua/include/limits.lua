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
  terms[ref] = terms[ref] or cjson.decode(read('t' .. ref))
  return terms[ref]
end

-- The limits that a job is charged to, each counter once: { limit, counter, at, charged }. Sets
-- job.terms to those of its first admission.
local function limitsOf(job)
  if job.limits then return job.limits end
  local limits, seen = {}, {}
  for ref, overrideRef, shadowed, at in string.gmatch(job.charges, '([%w_-]+)%.([%w_-]*)~([%d,]*)@?(%d*)') do
    local of, override = termsOf(job, ref), termsOf(job, overrideRef)
    job.terms = job.terms or of
    for i, limit in ipairs(of.limits) do
      local counter = counterOf(limit)
      if not seen[counter] then
        -- An infinite rate counts nothing, so that another of its name may still be charged.
        seen[counter] = limit.kind == 'concurrency' or overridden(limit, override).limit ~= nil
        limits[#limits + 1] = {
          limit = overridden(limit, override), counter = counter, at = at ~= '' and at or job.at,
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

-- The shortest of that property among the job's limits.
local function shortest(job, property)
  local least = math.huge
  for _, entry in ipairs(limitsOf(job)) do least = math.min(least, entry.limit[property] or math.huge) end
  return least
end

-- When a job that has started must have ended; nil where nothing limits how many run.
local function hardEndOf(job)
  local maxRun = shortest(job, 'maxRunMs')
  if maxRun < math.huge then return job.startedAt + maxRun end
end

-- When the job's lease ends if it is renewed now, running.
local function leaseEnd(job)
  local hardEnd = hardEndOf(job)
  return hardEnd and math.min(hardEnd, now + shortest(job, 'heartbeatMs'))
end
