-- Binds a reservation, or returns the earlier binding. Each call deletes up to 8 reservations that
-- have ended, so that they do not accumulate.
-- KEYS: the bindings, their ends.
-- ARGV: the reservation's key, its binding, its end, now.
for _, ended in ipairs(redis.call('ZRANGEBYSCORE', KEYS[2], '-inf', ARGV[4], 'LIMIT', 0, 8)) do
  redis.call('HDEL', KEYS[1], ended)
  redis.call('ZREM', KEYS[2], ended)
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
