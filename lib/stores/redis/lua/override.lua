-- Reads overrides.
--
-- KEYS[1]  the shard's overrides
-- ARGV[1]  added to the server's time, ms
-- ARGV[2]  and on: whose; those of all customers where nobody is named
--
-- Answer   { customer, override as set-override.lua stores it, and so on }, of those that hold
local call = redis.call
local clock = call('TIME')
local date = math.floor(clock[1] * 1000 + clock[2] / 1000 + ARGV[1])
local entries = {}
if #ARGV == 1 then entries = call('HGETALL', KEYS[1]) end
for i = 2, #ARGV do
  entries[#entries + 1] = ARGV[i]
  entries[#entries + 1] = call('HGET', KEYS[1], ARGV[i])
end
local answer = {}
for i = 1, #entries, 2 do
  local expiresAt = entries[i + 1] and string.match(entries[i + 1], '^%S+ %d+ (%d*)')
  if expiresAt and expiresAt ~= '' and tonumber(expiresAt) <= date then
    call('HDEL', KEYS[1], entries[i])
  elseif expiresAt then
    answer[#answer + 1], answer[#answer + 2] = entries[i], entries[i + 1]
  end
end
return answer
