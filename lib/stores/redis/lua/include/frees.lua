-- Out of memory, Redis refuses whatever may take more, unless the script has written already. What gives memory back in the
-- end, or a slot, must be done then too, so these scripts begin with a write that does nothing.
redis.call('HDEL', KEYS[1], '')
