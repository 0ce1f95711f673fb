-- Tells what is known of a key: its record, and whom it has noted as children; or nothing.
-- Where a child was noted that has no record yet, none can be inserted from now on. An insert is over
-- in seconds: a day later nobody needs that any more.
-- KEYS: the record, its children. ARGV: the parent whose child it was noted as or ''.
local record = redis.call('GET', KEYS[1])
if not record or record == GONE then
  if ARGV[1] ~= '' then
    redis.call('SET', KEYS[1], GONE, 'EX', 86400)
  end
  return {}
end
-- An insert that was refused may have been noted: the record is another one's child.
if ARGV[1] ~= '' and has_head(record) and parent(record) ~= ARGV[1] then
  return {}
end
local answer = redis.call('SMEMBERS', KEYS[2])
table.insert(answer, 1, record)
return answer
