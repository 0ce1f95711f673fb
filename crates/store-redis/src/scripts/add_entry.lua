-- Adds an entry to an index, even on a server whose memory is full.
-- KEYS: the index.
-- ARGV: the id.
write_without_room(KEYS[1])
redis.call('ZADD', KEYS[1], 0, ARGV[1])
return DONE
