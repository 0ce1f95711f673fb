-- Stores the record and the last use of a key of another store, unless the key is revoked here and
-- active there.
-- KEYS: the record, its last use.
-- ARGV: the record, the time of the last use or ''.
local record = redis.call('GET', KEYS[1])
if record and is_whole(record) and is_revoked(record) and not is_revoked(ARGV[1]) then
  return CONFLICT
end
redis.call('SET', KEYS[1], ARGV[1])
if ARGV[2] == '' then
  redis.call('DEL', KEYS[2])
else
  redis.call('SET', KEYS[2], ARGV[2])
end
return DONE
