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
