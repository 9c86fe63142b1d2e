-- Makes the changes that jobs left for this log. A rate is refunded at most as often in a window as the limit allows.
local function settleLog(counter, key, refundKey)
  for sign, at, time, windowMs, most in string.gmatch(owedOf(counter), '([+-])(%d+)@(%d+)/(%d+)/(%d+)') do
    if sign == '+' then
      call('RPUSH', key, at)
      call('PEXPIRE', key, windowMs + 1)
    elseif countLog(refundKey, time - windowMs * 1000) < tonumber(most) and call('LREM', key, -1, at) > 0 then
      call('RPUSH', refundKey, time)
      call('PEXPIRE', refundKey, windowMs + 1)
    end
  end
  setOwed(counter, '')
end
