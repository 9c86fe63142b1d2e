-- The customer's book: one hash, so that no part of it can be evicted, lost or expire without the rest.
--   .time    latest time the book has seen, µs
--   .ahead   µs by which the book's clock is ahead of the server's
--   .due     ms before which no lease ends
--   .jobs    how many jobs hold a lease
--   .keep    ms until which the hash is kept
--   .window  the longest window seen, ms
--   .freed   ms when a slot last came free; .every: how often they do lately, ms
--   j<id>    the record of a job that holds a lease
--   n<counter>  how many of these jobs are charged to a concurrency counter
--   w<counter>  changes to a rate's log that the next script which is given the log has to make
--   t<ref>   terms and overrides that records refer to, JSON
-- A book's clock is the server's, but it never runs backwards: when the server's does (a failover, an operator), the book
-- stays ahead by as much from then on, so that windows and leases neither stretch nor freeze.
local call = redis.call
local customerKey = KEYS[1]

local book = call('HMGET', customerKey, '.time', '.ahead', '.due', '.jobs', '.keep', '.window', '.freed', '.every')
local clock = call('TIME')
local micros = clock[1] * 1000000 + clock[2] + ARGV[1] * 1000
local ahead = tonumber(book[2]) or 0
local latest = tonumber(book[1]) or 0
micros = micros + ahead
if micros < latest then
  ahead = ahead + latest - micros
  micros = latest
end
-- Leases go by ms; rates by µs, as text, since Lua would print so long a number rounded.
local now, stamp = math.floor(micros / 1000), string.format('%.0f', micros)
local due = tonumber(book[3]) or math.huge
local jobs = tonumber(book[4]) or 0
local keep = tonumber(book[5]) or 0
local window = tonumber(book[6]) or 0

local IDLE = 600000
local needed = 0
local dirty = false
local put, gone, held, owed, changed = {}, {}, {}, {}, {}

local function set(field, value)
  put[#put + 1] = field
  put[#put + 1] = value
end

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

-- Writes what changed, and sees to it that the hash outlives its jobs and windows and, once idle, nothing else.
local function save()
  for field, value in pairs(changed) do
    if value then set(field, value) else gone[#gone + 1] = field end
  end
  if #put + #gone == 0 and not dirty then return end
  if #gone > 0 then call('HDEL', customerKey, unpack(gone)) end
  local idle = math.max(IDLE, window)
  local wanted = now + idle
  if jobs > 0 then wanted = math.max(wanted, needed) end
  local renew = keep < wanted or (jobs == 0 and keep > wanted + idle)
  if renew then
    keep = wanted + idle
    set('.keep', keep)
  end
  call('HSET', customerKey, '.time', micros, '.ahead', ahead, '.due', due == math.huge and '' or due, '.jobs', jobs,
    unpack(put))
  if renew then call('PEXPIRE', customerKey, keep - now) end
end

-- The date, in ms, of a time of the book's.
local function wall(time)
  return time and math.floor(time - ahead / 1000) or ''
end
