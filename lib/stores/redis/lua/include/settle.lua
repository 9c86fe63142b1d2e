-- Brings the book up to now: frees the leases that ran out, and adds those of pending jobs to `lapsed`. Looks at all of them,
-- but only once the earliest is due. Frees a hundred at most, so that one script stays short; the others are counted until the
-- next one.
if now >= due then
  local entries = call('HGETALL', customerKey)
  local left = 100
  due = math.huge
  for i = 1, #entries, 2 do
    local kind, name, text = string.sub(entries[i], 1, 1), string.sub(entries[i], 2), entries[i + 1]
    if kind == 'j' then
      local untilTime = tonumber(string.match(text, '^%a;%d*;%d*;(%d+)'))
      if untilTime > now then
        due = math.min(due, untilTime)
      elseif left == 0 then
        due = now
      else
        left = left - 1
        local earliest = due
        local job = readRecord(text, name)
        job.leased = true
        if job.state == 'p' then
          undo(job, 'l')
          lapsed[#lapsed + 1] = name
        else
          release(job)
        end
        due = earliest
      end
    elseif kind == 'w' then
      -- Owed to a log whose window has passed, by a counter that nobody asks for any more.
      local time, over = string.match(text, '@(%d+)/(%d+)/%d+;$')
      if time + over * 1000 <= micros and owedOf(name) == text then setOwed(name, '') end
    end
  end
  if jobs == 0 then due = math.huge end
  dirty = true
end
