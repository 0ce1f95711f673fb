-- Registers a new key with its receiver, if the receiver's record is still the one that was read.
-- KEYS: the receiver's record, the keys that it received.
-- ARGV: the record that was read, the new key's id.
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return CONFLICT
end
redis.call('SADD', KEYS[2], ARGV[2])
return DONE
