-- Binds a reservation, or tells of the earlier binding. Takes away some of those that have run out, so
-- that each new one pays for old ones.
-- KEYS: the bindings, their ends. ARGV: key, binding, until, now.
for _, old in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[4], 'LIMIT', 0, 8)) do
  redis.call('HDEL', KEYS[1], old)
  redis.call('ZREM', KEYS[2], old)
end
local earlier = redis.call('HGET', KEYS[1], ARGV[1])
if earlier then
  local ends = redis.call('ZSCORE', KEYS[2], ARGV[1])
  if ends and tonumber(ends) > tonumber(ARGV[4]) then
    return earlier
  end
end
redis.call('HSET', KEYS[1], ARGV[1], ARGV[2])
redis.call('ZADD', KEYS[2], ARGV[3], ARGV[1])
return DONE
