-- The stretch of the calendar in UTC that a date falls into: its beginning, and that of the next one. `per` is h hour, d day, m
-- month, s for what is stored, which belongs to none.
local function periodOf(per, at)
  if per == 's' then return 0, 0 end
  local length = per == 'h' and 3600000 or 86400000
  local start = at - at % length
  if per ~= 'm' then return start, start + length end
  -- Days since the first of March of the year 0, so that the odd day is the last of its year.
  local function monthOf(days)
    local shifted = days + 719468
    local rest = shifted % 146097
    local years = math.floor((rest - math.floor(rest / 1460) + math.floor(rest / 36524) - math.floor(rest / 146096)) / 365)
    local day = rest - (365 * years + math.floor(years / 4) - math.floor(years / 100))
    return days - day + math.floor((153 * math.floor((5 * day + 2) / 153) + 2) / 5)
  end
  local first = monthOf(start / 86400000)
  return first * 86400000, monthOf(first + 31) * 86400000
end
