-- Revokes a descendant and returns its successor. If a registered key has no record yet, stores a
-- tombstone, so that its insert fails.
-- KEYS: the record.
-- ARGV: now as 8 bytes, the key that registered this one as received or '', '1' to leave an active
-- key as it is.
local record = redis.call('GET', KEYS[1])
if not record and ARGV[2] ~= '' then
  store(KEYS[1], TOMBSTONE)
end
if not record or record == TOMBSTONE then
  return {NOT_FOUND}
end
if not is_whole(record) then
  return {CORRUPT}
end
-- If the record names another receiver, the insert that registered the id with this receiver has
-- failed, because the id was taken.
if ARGV[2] ~= '' and not was_received_by(record, ARGV[2]) then
  return {NOT_FOUND}
end
if is_revoked(record) then
  return {ALREADY_REVOKED, successor(record)}
end
if ARGV[3] == '1' then
  return {ACTIVE}
end
store(KEYS[1], with_revocation(record, ARGV[1]))
return {DONE, successor(record)}
