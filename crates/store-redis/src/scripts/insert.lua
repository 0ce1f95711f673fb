-- Inserts a record, unless its id is taken. Adds entries to indexes that are on the same server.
-- KEYS: the record, the indexes[, its event, the index of the key's events].
-- ARGV: the record, the number of indexes, the id of the entry in each[, the id of the event, the
-- event].
if redis.call('EXISTS', KEYS[1]) == 1 then
  return ALREADY_EXISTS
end
local indexes = tonumber(ARGV[2])
for number = 1, indexes do
  redis.call('ZADD', KEYS[number + 1], 0, ARGV[number + 2])
end
append_event(indexes + 1)
redis.call('SET', KEYS[1], ARGV[1])
return DONE
