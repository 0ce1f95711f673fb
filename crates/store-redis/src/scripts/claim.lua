-- Sets what nobody has set before, and tells what is set. KEYS: the setting. ARGV: the value.
redis.call('SETNX', KEYS[1], ARGV[1])
return redis.call('GET', KEYS[1])
