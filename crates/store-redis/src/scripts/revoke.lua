-- Revokes a record of a workspace, and tells what has replaced it.
-- KEYS: the record. ARGV: now as 8 bytes, the workspace.
local record = redis.call('GET', KEYS[1])
if not record or record == GONE then
  return {NOT_FOUND}
end
if not readable(record) then
  return {UNREADABLE}
end
if workspace(record) ~= ARGV[2] then
  return {NOT_FOUND}
end
if is_revoked(record) then
  return {ALREADY, successor(record)}
end
store(KEYS[1], revoked(record, ARGV[1]))
return {DONE, successor(record)}
