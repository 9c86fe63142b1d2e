-- Reads the customer's override.
--
-- KEYS[1]  the customer's override
--
-- Answer   its JSON, or ''
local stored = redis.call('GET', KEYS[1])
return stored and string.sub(stored, 9) or ''
