-- Stores the customer's override, or removes it. It has no expiry: it holds until somebody removes it.
--
-- KEYS[1]  the customer's override
-- KEYS[2]  the customer's book
-- ARGV[1]  its reference, 8 characters
-- ARGV[2]  its JSON, or '' to remove it
--
-- Answer   1
-- Admissions of a customer without one don't look for it.
redis.call('HDEL', KEYS[2], '.plain')
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[1] .. ARGV[2])
end
return 1
