-- Stores the customer's override, or removes it.
--
-- KEYS[1]  the shard's overrides
-- KEYS[2]  the customer's book
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  the customer
-- ARGV[3]  reference of what it says to limits, 8 characters
-- ARGV[4]  what it says to limits, JSON, or '' to remove it
-- ARGV[5]  the date until which it holds, or ''
-- ARGV[6]  what else is kept with it, JSON
--
-- Answer   1
local call = redis.call
-- Admissions of a customer without one don't look for it.
call('HDEL', KEYS[2], '.plain')
if ARGV[4] == '' then
  call('HDEL', KEYS[1], ARGV[2])
else
  local clock = call('TIME')
  local date = math.floor(clock[1] * 1000 + clock[2] / 1000 + ARGV[1])
  local head = ARGV[3] .. ' ' .. date .. ' ' .. ARGV[5]
  call('HSET', KEYS[1], ARGV[2], head .. '\n' .. ARGV[4] .. '\n' .. ARGV[6])
end
return 1
