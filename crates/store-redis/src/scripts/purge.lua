-- Deletes the record of a key that was revoked long ago, unless something descends from it still, and
-- tells what it was.
-- KEYS: the record, its children, its last use[, its successor]. ARGV: before when it must have been
-- revoked, the workspace or '', the successor, those whom it has noted and who are no more.
local record = redis.call('GET', KEYS[1])
if not record or record == GONE then
  return {NOT_FOUND}
end
if not has_head(record) or revoked_at(record) >= tonumber(ARGV[1]) or successor(record) ~= ARGV[3] then
  return {CONFLICT}
end
if ARGV[2] ~= '' and workspace(record) ~= ARGV[2] then
  return {CONFLICT}
end
local heir = KEYS[4] and redis.call('GET', KEYS[4])
if heir and heir ~= GONE then
  return {CONFLICT}
end
for place = 4, #ARGV do
  redis.call('SREM', KEYS[2], ARGV[place])
end
if redis.call('EXISTS', KEYS[2]) == 1 then
  return {CONFLICT}
end
redis.call('DEL', KEYS[1], KEYS[3])
return {DONE, record}
