-- Registers a new key with the key that receives its secret, if that key is active (not revoked,
-- not expired, not disabled) and ends no earlier than the new one. `Key::admits` states the same
-- rule in Rust.
-- KEYS: the receiver's record, the keys that it received.
-- ARGV: the new key's workspace, now, the new key's id, the new key's time of expiry as 8 bytes.
local record = redis.call('GET', KEYS[1])
if not record or record == TOMBSTONE then
  return CONFLICT
end
if not is_whole(record) then
  return CORRUPT
end
local ends = expires_at(record)
if workspace(record) ~= ARGV[1] or is_revoked(record) or not is_enabled(record) then
  return CONFLICT
end
if ends <= tonumber(ARGV[2]) or ends < time_at(ARGV[4], 1) then
  return CONFLICT
end
redis.call('SADD', KEYS[2], ARGV[3])
return DONE
