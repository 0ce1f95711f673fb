-- Takes an alias from a key, unless another key has it.
-- KEYS: the alias.
-- ARGV: the id of the key.
if redis.call('GET', KEYS[1]) == ARGV[1] then
  redis.call('DEL', KEYS[1])
end
return DONE
