-- Says how the data under this prefix is laid out; lays it out as asked where there is none.
--
-- KEYS[1]  the layout
-- ARGV[1]  the layout that this process uses
--
-- Answer   the layout that holds
local layout = redis.call('GET', KEYS[1])
if not layout then
  redis.call('SET', KEYS[1], ARGV[1])
  layout = ARGV[1]
end
return layout
