-- Replaces a setting if it has an expected value. A repetition changes nothing.
-- KEYS: the setting.
-- ARGV: the expected value or '' if it must not be set, the new value or '' to delete it.
local value = redis.call('GET', KEYS[1]) or ''
if value ~= ARGV[1] and value ~= ARGV[2] then
  return CONFLICT
end
if ARGV[2] == '' then
  redis.call('DEL', KEYS[1])
else
  redis.call('SET', KEYS[1], ARGV[2])
end
return DONE
