-- What jobs were admitted on: terms with the override that held then.
local terms = {}

local function counterOf(limit)
  if limit.key then return limit.name .. '\0' .. limit.key end
  return limit.name
end

-- The limit that really holds: replaced by the override's of the same name and kind.
local function overridden(limit, override)
  if not override then return limit end
  local other = limit
  for _, one in ipairs(override.limits) do
    if one.name == limit.name then other = one end
  end
  if other.kind ~= limit.kind then other = limit end
  if other == limit and override.mode ~= 'shadow' then return limit end
  local copy = {}
  for property, value in pairs(other) do copy[property] = value end
  copy.key = limit.key
  if override.mode == 'shadow' then copy.mode = 'shadow' end
  return copy
end

local function termsOf(job, ref)
  if ref == '' then return nil end
  if not terms[ref] and job.rest ~= '' then
    for other, value in pairs(cjson.decode(job.rest)) do terms[other] = value end
  end
  terms[ref] = terms[ref] or cjson.decode(read('t' .. ref))
  return terms[ref]
end

-- The limits that a job is charged to, each counter once: { limit, counter, at, charged }, and of a quota amount, date and the
-- longest that jobs of these terms run. Sets job.terms to those of its first admission.
local function limitsOf(job)
  if job.limits then return job.limits end
  local limits, seen = {}, {}
  for ref, overrideRef, free, amounts, at, wasAhead in
    string.gmatch(job.charges, '([%w_-]+)%.([%w_-]*)~([%d,]*)#?([%d,]*)@?(%d*)%^?(%d*)') do
    local of, override = termsOf(job, ref), termsOf(job, overrideRef)
    job.terms = job.terms or of
    if at == '' then at = job.at end
    local nextAmount, maxRun = string.gmatch(amounts, '%d+'), math.huge
    local first = #limits + 1
    for i, asked in ipairs(of.limits) do
      local limit, counter = overridden(asked, override), counterOf(asked)
      local amount = limit.kind == 'quota' and tonumber(nextAmount() or 0) or nil
      maxRun = math.min(maxRun, limit.maxRunMs or math.huge)
      if not seen[counter] then
        -- An infinite rate counts nothing, so that another of its name may still be charged.
        seen[counter] = limit.kind ~= 'creation-rate' or limit.limit ~= nil
        limits[#limits + 1] = {
          limit = limit, counter = counter, at = at, amount = amount,
          date = math.floor((at - (tonumber(wasAhead) or 0)) / 1000),
          charged = not string.find(',' .. free .. ',', ',' .. i .. ',', 1, true),
        }
      end
    end
    for i = first, #limits do limits[i].maxRun = maxRun end
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
