-- Stores the customer's override, or removes it. It has no expiry: it holds until somebody removes it.
--
-- KEYS[1]  the customer's override
-- ARGV[1]  its reference, 8 characters
-- ARGV[2]  its JSON, or '' to remove it
--
-- Answer   1
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2])
end
return 1
