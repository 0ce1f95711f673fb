-- Stores a tombstone in place of a record that was not inserted yet, or was deleted.
-- KEYS: the record.
-- ARGV: the time to live of the tombstone, in seconds.
local record = redis.call('GET', KEYS[1])
if record and record ~= TOMBSTONE then
  return ALREADY_EXISTS
end
if not record then
  redis.call('SET', KEYS[1], TOMBSTONE, 'EX', ARGV[1])
end
return DONE
