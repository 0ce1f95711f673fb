-- Registers a child with a parent that is active and ends no earlier than the child.
-- `Key::admits` states the same rule in Rust.
-- KEYS: the parent's record, the parent's children.
-- ARGV: the child's workspace, now, the child's id, the child's time of expiry as 8 bytes.
local record = redis.call('GET', KEYS[1])
if not record or record == TOMBSTONE then
  return CONFLICT
end
if not is_whole(record) then
  return CORRUPT
end
local ends = expires_at(record)
if workspace(record) ~= ARGV[1] or is_revoked(record) or ends <= tonumber(ARGV[2]) then
  return CONFLICT
end
if ends < time_at(ARGV[4], 1) then
  return CONFLICT
end
redis.call('SADD', KEYS[2], ARGV[3])
return DONE
