-- Replaces a record if it has not changed since it was read. May insert its successor in the same
-- step.
-- KEYS: the record[, the successor's record][, the event, the index of the key's events].
-- ARGV: the record that was read, the new record, the successor's record or ''[, the id of the
-- event, the event].
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return CONFLICT
end
if ARGV[3] ~= '' and redis.call('EXISTS', KEYS[2]) == 1 then
  return ALREADY_EXISTS
end
-- A server whose memory is full also stores a record that does not grow, so that a key can be
-- disabled or restricted.
if ARGV[3] == '' and #ARGV[2] <= #ARGV[1] then
  write_without_room(KEYS[1])
end
append_event(2)
if ARGV[3] ~= '' then
  redis.call('SET', KEYS[2], ARGV[3])
end
redis.call('SET', KEYS[1], ARGV[2])
return DONE
