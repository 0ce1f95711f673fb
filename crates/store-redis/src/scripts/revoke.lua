-- Revokes a record of a workspace and returns its successor.
-- KEYS: the record[, the event, the index of the key's events].
-- ARGV: now as 8 bytes, the workspace[, the id of the event, the event].
local record = redis.call('GET', KEYS[1])
if not record or record == TOMBSTONE then
  return {NOT_FOUND}
end
if not is_whole(record) then
  return {CORRUPT}
end
if workspace(record) ~= ARGV[2] then
  return {NOT_FOUND}
end
if is_revoked(record) then
  return {ALREADY_REVOKED, successor(record)}
end
write_without_room(KEYS[1])
append_event(1)
redis.call('SET', KEYS[1], with_revocation(record, ARGV[1]))
return {DONE, successor(record)}
