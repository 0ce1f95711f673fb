-- Gives an alias to a key, if no key has it, or if the key that has it is the expected one. Returns
-- the id of the key that then has it.
-- KEYS: the alias.
-- ARGV: the id of the new key, the expected id or ''.
local current = redis.call('GET', KEYS[1])
if not current or current == ARGV[2] then
  redis.call('SET', KEYS[1], ARGV[1])
  return ARGV[1]
end
return current
