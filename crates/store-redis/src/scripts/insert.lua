-- Inserts a record, unless its id is taken.
-- KEYS: the record[, its event, the index of the key's events].
-- ARGV: the record[, the id of the event, the event].
if redis.call('EXISTS', KEYS[1]) == 1 then
  return ALREADY_EXISTS
end
append_event()
redis.call('SET', KEYS[1], ARGV[1])
return DONE
