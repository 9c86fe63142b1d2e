-- How much of a quota was charged is in the book, by period and the latest first:
-- <per><start>-<end>:<used>:<date until which it is remembered>;
-- What is stored is one sum, remembered as long as it is not 0.
local PERS = { hour = 'h', day = 'd', month = 'm', stored = 's' }

-- Changes the sum of the period that begins at `start`. Makes one if it is said until when it is remembered. `false` where it
-- is forgotten.
local function correct(counter, per, start, ending, by, untilDate)
  local field = 'q' .. counter
  local head, found, text = per .. start .. '-' .. ending .. ':', false, ''
  local function add(which, used, time)
    if time > date or (per == 's' and used > 0) then
      text = text .. which .. string.format('%.0f', used) .. ':' .. string.format('%.0f', time) .. ';'
    end
  end
  for which, used, time in string.gmatch(read(field) or '', '(%a%d+%-%d+:)(%d+):(%d+);') do
    used, time = tonumber(used), tonumber(time)
    if which == head and (untilDate or per == 's' or time > date) then
      found = true
      used, time = math.max(0, used + by), math.max(time, untilDate or 0)
    end
    add(which, used, time)
  end
  if not found then
    if not untilDate then return false end
    local older = text
    text = ''
    add(head, math.max(0, by), untilDate)
    text = text .. older
  end
  if untilDate then lasting = math.max(lasting or 0, now + untilDate - date) end
  changed[field] = text ~= '' and text
  return true
end

-- How much of the present period is used, and when it ends.
local function usedOf(counter, per)
  local start, ending = periodOf(per, date)
  local used = string.match(';' .. (read('q' .. counter) or ''), ';' .. per .. start .. '%-' .. ending .. ':(%d+)')
  return tonumber(used) or 0, ending
end

-- Until when the sum that the charge belongs to is remembered: a day after the last of its jobs must have ended.
local function rememberedUntil(entry, ending)
  return ending + math.min(entry.maxRun, 2592000000) + 86400000
end

local function chargeQuota(entry, by, make)
  local per = PERS[entry.limit.per]
  local start, ending = periodOf(per, entry.date)
  return correct(entry.counter, per, start, ending, by, make and (per == 's' and 0 or rememberedUntil(entry, ending)))
end

-- Puts what the job really used in the place of what it reserved. `false` where a period is forgotten.
local function settleQuotas(job, units, keeps)
  local settled = true
  for _, entry in ipairs(limitsOf(job)) do
    if entry.charged and entry.limit.kind == 'quota' then
      local isStored = entry.limit.per == 'stored'
      local used = units and units[entry.limit.unit] or entry.amount
      if isStored and not keeps then used = 0 end
      if isStored and used > 0 then
        job.stored = job.stored or {}
        job.stored[#job.stored + 1] = { counter = entry.counter, amount = used }
      end
      local by = used - entry.amount
      if by ~= 0 and not chargeQuota(entry, by) then
        local _, ending = periodOf(PERS[entry.limit.per], entry.date)
        if not isStored and rememberedUntil(entry, ending) <= date then
          settled = false
        elseif by > 0 then
          chargeQuota(entry, by, true)
        end
      end
    end
  end
  return settled
end

-- Until when the quotas need the book, as its clock goes.
lastQuota = function()
  local last = 0
  local entries = call('HGETALL', customerKey)
  for i = 1, #entries, 2 do
    if string.sub(entries[i], 1, 1) == 'q' then
      for per, used, time in string.gmatch(entries[i + 1], '(%a)%d+%-%d+:(%d+):(%d+);') do
        local ms = per == 's' and call('PTTL', KEYS[2]) or time - date
        last = math.max(last, now + ms)
      end
    end
  end
  return last
end
