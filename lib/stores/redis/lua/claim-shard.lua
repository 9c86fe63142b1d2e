-- Takes customers of a shard that must be looked at, each for so long, that other sweepers leave them alone meanwhile.
--
-- KEYS[1]  the shard's index of when customers are to be looked at
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  how many at most
-- ARGV[3]  for how long, ms
--
-- Answer   the customers
-- As in frees.lua.
redis.call('ZREM', KEYS[1], '')
local clock = redis.call('TIME')
local date = math.floor(clock[1] * 1000 + clock[2] / 1000 + ARGV[1])
local customers = redis.call('ZRANGEBYSCORE', KEYS[1], '-inf', date, 'LIMIT', 0, ARGV[2])
for _, customer in ipairs(customers) do redis.call('ZADD', KEYS[1], date + ARGV[3], customer) end
return customers
