-- Moves the time of last use forward, if the key has a record.
-- KEYS: the record, its last use.
-- ARGV: the time of the use.
if redis.call('EXISTS', KEYS[1]) == 1 then
  local before = tonumber(redis.call('GET', KEYS[2]) or '-1')
  if not before or before < tonumber(ARGV[1]) then
    redis.call('SET', KEYS[2], ARGV[1])
  end
end
return DONE
