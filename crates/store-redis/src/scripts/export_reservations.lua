-- Returns all reservations of a hash: the key, the binding and the end of each.
-- KEYS: the bindings, their ends.
local reply = {}
for _, key in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local binding = redis.call('HGET', KEYS[1], key)
  if binding then
    table.insert(reply, key)
    table.insert(reply, binding)
    table.insert(reply, redis.call('ZSCORE', KEYS[2], key))
  end
end
return reply
