-- Revokes a descendant, and tells what has replaced it. Where a child was noted that has no record
-- yet, none can be inserted any more.
-- KEYS: the record. ARGV: now as 8 bytes, the parent whose child it was noted as or ''.
local record = redis.call('GET', KEYS[1])
if not record and ARGV[2] ~= '' then
  store(KEYS[1], GONE)
end
if not record or record == GONE then
  return {NOT_FOUND}
end
if not readable(record) then
  return {UNREADABLE}
end
-- An insert that was refused may have been noted: the record is another one's child.
if ARGV[2] ~= '' and parent(record) ~= ARGV[2] then
  return {NOT_FOUND}
end
if is_revoked(record) then
  return {ALREADY, successor(record)}
end
store(KEYS[1], revoked(record, ARGV[1]))
return {DONE, successor(record)}
