-- Returns a record and the ids of the children that it has registered, or nothing if there is no
-- such record. If a registered child has no record yet, stores a tombstone, so that its insert
-- fails. An insert takes seconds: after a day the tombstone is no longer needed.
-- KEYS: the record, its children.
-- ARGV: the parent that registered the key as its child or ''.
local record = redis.call('GET', KEYS[1])
if not record or record == TOMBSTONE then
  if ARGV[1] ~= '' then
    redis.call('SET', KEYS[1], TOMBSTONE, 'EX', 86400)
  end
  return {}
end
-- The parent may have registered an id whose insert then failed because the id belongs to another
-- parent's child.
if ARGV[1] ~= '' and has_header(record) and parent(record) ~= ARGV[1] then
  return {}
end
local reply = redis.call('SMEMBERS', KEYS[2])
table.insert(reply, 1, record)
return reply
