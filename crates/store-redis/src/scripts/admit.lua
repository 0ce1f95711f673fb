-- Notes a child of a parent that is active and ends no earlier.
-- KEYS: the parent's record, its children. ARGV: workspace, now, the child's id, when it ends.
local record = redis.call('GET', KEYS[1])
if not record or record == GONE then
  return CONFLICT
end
if not readable(record) then
  return UNREADABLE
end
if workspace(record) ~= ARGV[1] or is_revoked(record) or expires_at(record) <= tonumber(ARGV[2]) then
  return CONFLICT
end
if expires_at(record) < time_at(ARGV[4], 1) then
  return CONFLICT
end
redis.call('SADD', KEYS[2], ARGV[3])
return DONE
