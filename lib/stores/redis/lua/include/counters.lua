-- Where limits stand. A creation rate's log and the log of its refunds are a pair of KEYS.

-- How many entries of the log are later than `edge`, and the oldest of these, µs. Forgets the others.
local function countLog(key, edge)
  local used = call('LLEN', key)
  if used == 0 then return 0 end
  local oldest = tonumber(call('LINDEX', key, 0))
  if oldest > edge then return used, oldest end
  local second = used > 1 and tonumber(call('LINDEX', key, 1))
  if second and second > edge then
    call('LPOP', key)
    return used - 1, second
  end
  if tonumber(call('LINDEX', key, -1)) <= edge then
    call('DEL', key)
    return 0
  end
  local old, fresh = 0, used - 1
  while fresh - old > 1 do
    local middle = math.floor((old + fresh) / 2)
    if tonumber(call('LINDEX', key, middle)) <= edge then old = middle else fresh = middle end
  end
  call('LTRIM', key, fresh, -1)
  return used - fresh, tonumber(call('LINDEX', key, 0))
end

-- Makes the changes that jobs left for this log. A rate is refunded at most as often in a window as the limit allows.
local function settleLog(limit, counter, key, refundKey)
  for sign, at, time in string.gmatch(owedOf(counter), '([+-])(%d+)@(%d+)/') do
    if sign == '+' then
      call('RPUSH', key, at)
      call('PEXPIRE', key, limit.windowMs + 1)
    elseif countLog(refundKey, time - limit.windowMs * 1000) < (limit.limit or math.huge) then
      if call('LREM', key, -1, at) > 0 then
        call('RPUSH', refundKey, time)
        call('PEXPIRE', refundKey, limit.windowMs + 1)
      end
    end
  end
  setOwed(counter, '')
end

-- How long from now until an entry has left the window, ms, rounded up.
local function untilOver(time, limit)
  return math.ceil((time - micros) / 1000) + limit.windowMs
end

-- One limit's counter: { limit, counter, used, reset (ms, or -1), retry (ms, or -1 where it refuses nothing) }.
local function look(limit, key, refundKey)
  local counter = counterOf(limit)
  local entry = { limit = limit, counter = counter, key = key, reset = -1, retry = -1 }
  if limit.kind == 'concurrency' then
    entry.used = heldOf(counter)
    return entry
  end
  if owedOf(counter) ~= '' then settleLog(limit, counter, key, refundKey) end
  local oldest
  entry.used, oldest = countLog(key, micros - limit.windowMs * 1000)
  if oldest then entry.reset = untilOver(oldest, limit) end
  return entry
end
