-- The book's fields as this script leaves them: changes that may be made several times before they are written. `false` is
-- a field that is not there.
changed = {}
local fields = {}
for i, field in ipairs(more) do fields[field] = book[8 + i] end

read = function(field)
  local value = changed[field]
  if value ~= nil then return value end
  if fields[field] == nil then fields[field] = call('HGET', customerKey, field) end
  return fields[field]
end

-- Any number of arguments, which Lua can't unpack at once. They come in pairs.
local function callAll(command, key, list)
  for i = 1, #list, 1000 do call(command, key, unpack(list, i, math.min(i + 999, #list))) end
end

local function heldOf(counter)
  return tonumber(read('n' .. counter)) or 0
end

local function hold(counter, by)
  local held = heldOf(counter) + by
  changed['n' .. counter] = held > 0 and held
end

-- What jobs add to that in this script, in pieces: one text for each would be made anew by every job.
local owing = {}

local function owedOf(counter)
  local text = read('w' .. counter) or ''
  if owing[counter] then
    text = text .. table.concat(owing[counter])
    changed['w' .. counter], owing[counter] = text, nil
  end
  return text
end

local function setOwed(counter, text)
  changed['w' .. counter] = text ~= '' and text
end

-- The date, in ms, of a time of the book's.
local function wall(time)
  return math.floor(time - ahead / 1000)
end
