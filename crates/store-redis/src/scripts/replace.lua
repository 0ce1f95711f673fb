-- Replaces a record that is still as it was read, and with it may insert its successor.
-- KEYS: the record[, the successor]. ARGV: the record as it was, as it is to be[, the successor].
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return CONFLICT
end
if KEYS[2] then
  if redis.call('EXISTS', KEYS[2]) == 1 then
    return TAKEN
  end
  redis.call('SET', KEYS[2], ARGV[3])
end
redis.call('SET', KEYS[1], ARGV[2])
return DONE
