-- Deletes the record of a key that was revoked or expired before given times, unless a key descends
-- from it. Returns the record.
-- KEYS: the record, the keys that it received, its last use[, its successor's record].
-- ARGV: the time before which the key must have been revoked, the time before which it must have
-- expired instead, the workspace or '', the successor, the registered keys that no longer have a
-- record.
local record = redis.call('GET', KEYS[1])
if not record or record == TOMBSTONE then
  return {NOT_FOUND}
end
if not has_header(record) or successor(record) ~= ARGV[4] then
  return {CONFLICT}
end
if revoked_at(record) >= tonumber(ARGV[1]) and expires_at(record) >= tonumber(ARGV[2]) then
  return {CONFLICT}
end
if ARGV[3] ~= '' and workspace(record) ~= ARGV[3] then
  return {CONFLICT}
end
local successor_record = KEYS[4] and redis.call('GET', KEYS[4])
if successor_record and successor_record ~= TOMBSTONE then
  return {CONFLICT}
end
for index = 5, #ARGV do
  redis.call('SREM', KEYS[2], ARGV[index])
end
-- If a registered key is left, keep the record.
if redis.call('EXISTS', KEYS[2]) == 1 then
  return {CONFLICT}
end
redis.call('DEL', KEYS[1], KEYS[3])
return {DONE, record}
