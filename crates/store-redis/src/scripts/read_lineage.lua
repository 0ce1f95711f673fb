-- Returns a record and the ids of the keys that it has registered as received, or nothing if there
-- is no such record. If a registered key has no record yet, stores a tombstone, so that its insert
-- fails. An insert takes at most seconds, so after a day the tombstone is no longer needed.
-- KEYS: the record, the keys that it received.
-- ARGV: the key that registered this one as received or ''.
local record = redis.call('GET', KEYS[1])
if not record or record == TOMBSTONE then
  if ARGV[1] ~= '' then
    redis.call('SET', KEYS[1], TOMBSTONE, 'EX', 86400)
  end
  return {}
end
-- If the record names another receiver, the insert that registered the id with this receiver has
-- failed, because the id was taken.
if ARGV[1] ~= '' and has_header(record) and not was_received_by(record, ARGV[1]) then
  return {}
end
local reply = redis.call('SMEMBERS', KEYS[2])
table.insert(reply, 1, record)
return reply
