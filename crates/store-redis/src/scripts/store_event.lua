-- Stores an event, or replaces it if it has not been deleted, even on a server whose memory is
-- full.
-- KEYS: the event.
-- ARGV: the event, '1' to replace it.
if ARGV[2] == '1' and redis.call('EXISTS', KEYS[1]) == 0 then
  return NOT_FOUND
end
store(KEYS[1], ARGV[1])
return DONE
