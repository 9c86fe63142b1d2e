-- Changes to the book that may be made several times before they are written.
changed, gone, held, owed = {}, {}, {}, {}

local function heldOf(counter)
  if not held[counter] then held[counter] = tonumber(call('HGET', customerKey, 'n' .. counter)) or 0 end
  return held[counter]
end

local function hold(counter, by)
  held[counter] = heldOf(counter) + by
  changed['n' .. counter] = held[counter] > 0 and held[counter] or false
end

local function owedOf(counter)
  if not owed[counter] then owed[counter] = call('HGET', customerKey, 'w' .. counter) or '' end
  return owed[counter]
end

local function setOwed(counter, text)
  owed[counter] = text
  changed['w' .. counter] = text ~= '' and text
end

-- The date, in ms, of a time of the book's.
local function wall(time)
  return time and math.floor(time - ahead / 1000) or ''
end
