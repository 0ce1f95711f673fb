-- Sets a setting unless it is set, and returns its value.
-- KEYS: the setting.
-- ARGV: the value.
redis.call('SETNX', KEYS[1], ARGV[1])
return redis.call('GET', KEYS[1])
