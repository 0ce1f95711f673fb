-- Replaces a record if it has not changed since it was read. May insert its successor in the same
-- step.
-- KEYS: the record[, the successor's record].
-- ARGV: the record that was read, the new record[, the successor's record].
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return CONFLICT
end
if KEYS[2] then
  if redis.call('EXISTS', KEYS[2]) == 1 then
    return ALREADY_EXISTS
  end
  redis.call('SET', KEYS[2], ARGV[3])
end
-- A server whose memory is full also stores a record that does not grow, so that a key can be
-- disabled or restricted.
if #ARGV[2] <= #ARGV[1] then
  store(KEYS[1], ARGV[2])
else
  redis.call('SET', KEYS[1], ARGV[2])
end
return DONE
