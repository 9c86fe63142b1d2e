-- Writes what changed, and sees to it that the book outlives its jobs and windows and, once idle, nothing else.
if changed then flush() end
if dirty or #put > 0 then
  local size, keep = #put, tonumber(book[5]) or 0
  local idle = window > 600000 and window or 600000
  local wanted = now + idle
  if jobs > 0 and needed and needed > wanted then wanted = needed end
  if lasting and lasting > wanted then wanted = lasting end
  local renew = keep < wanted
  if changed and jobs == 0 and keep > wanted + idle and not read('.pins') then
    wanted = math.max(wanted, lastQuota())
    renew = keep > wanted + idle
  end
  if renew then
    keep = wanted + idle
    put[size + 1], put[size + 2] = '.keep', keep
    size = size + 2
  end
  if ahead ~= (tonumber(book[2]) or 0) then
    put[size + 1], put[size + 2] = '.ahead', ahead
    size = size + 2
  end
  if due ~= (tonumber(book[3]) or math.huge) then
    put[size + 1], put[size + 2] = '.due', due == math.huge and '' or due
    size = size + 2
  end
  call('HSET', customerKey, '.time', stamp, '.jobs', jobs, unpack(put))
  if renew then call('PEXPIRE', customerKey, keep - now) end
end
