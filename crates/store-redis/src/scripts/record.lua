-- Functions that read and change an encoded record. src/record/ defines the encoding, and
-- src/script.rs defines the constants.
--
-- Do not compare bytes with `<`: it would follow the server's locale. `==` is safe.

-- Returns the length of the record up to the end of its owner.
local function header_length(record)
  return OWNER_LENGTH_LAST + record:byte(WORKSPACE_LENGTH_FIRST) + record:byte(OWNER_LENGTH_FIRST)
end

-- Whether the record is whole up to the end of its owner.
local function has_header(record)
  return #record >= OWNER_LENGTH_LAST
    and record:byte(FORMAT_FIRST) == FORMAT_VERSION
    and #record >= header_length(record)
end

-- Whether the record's lengths add up, so that it can be changed. The content is not checked.
local function is_whole(record)
  if not has_header(record) then
    return false
  end
  local position = header_length(record) + 1
  for _ = 1, TEXTS do
    local high, low = record:byte(position, position + 1)
    if not low then
      return false
    end
    position = position + 2
    local length = high * 256 + low
    if length ~= NO_TEXT then
      position = position + length
    end
  end
  return position == #record + 1
end

local function workspace(record)
  local length = record:byte(WORKSPACE_LENGTH_FIRST)
  return record:sub(OWNER_LENGTH_LAST + 1, OWNER_LENGTH_LAST + length)
end

local function is_revoked(record)
  return record:sub(REVOKED_AT_FIRST, REVOKED_AT_LAST) ~= NO_TIME
end

-- Returns the time of 8 bytes that begin at a position. An absent time is later than all times.
local function time_at(bytes, first)
  local time = 0
  for position = first, first + 7 do
    time = time * 256 + bytes:byte(position)
  end
  return time
end

local function expires_at(record)
  return time_at(record, EXPIRES_AT_FIRST)
end

local function revoked_at(record)
  return time_at(record, REVOKED_AT_FIRST)
end

-- Returns the record's version plus 1, as 8 bytes. A Lua number is too small for it. The largest
-- version stays, as in `Record::revoke`.
local function next_version(record)
  local bytes = {record:byte(VERSION_FIRST, VERSION_LAST)}
  for index = #bytes, 1, -1 do
    if bytes[index] < 255 then
      bytes[index] = bytes[index] + 1
      return string.char(unpack(bytes))
    end
    bytes[index] = 0
  end
  return record:sub(VERSION_FIRST, VERSION_LAST)
end

-- Whether the key with this id received the record's secret: it is the parent, or it rotated the
-- predecessor.
local function was_received_by(record, id)
  return record:sub(PARENT_FIRST, PARENT_LAST) == id
    or record:sub(ROTATED_BY_FIRST, ROTATED_BY_LAST) == id
end

local function successor(record)
  return record:sub(SUCCESSOR_FIRST, SUCCESSOR_LAST)
end

-- Returns the next version of the record, with this time of revocation.
local function with_revocation(record, time)
  return record:sub(1, VERSION_FIRST - 1)
    .. next_version(record)
    .. record:sub(VERSION_LAST + 1, REVOKED_AT_FIRST - 1)
    .. time
    .. record:sub(REVOKED_AT_LAST + 1)
end

-- Lets the commands that follow write, even on a server whose memory is full. Such a server rejects
-- SET and ZADD, unless the script has run another write command before them. PERSIST is such a
-- command, and changes nothing here. DEL would lose the record while its slot migrates: the server
-- redirects commands for a name that it no longer has, so that the SET after the DEL would fail.
local function write_without_room(name)
  redis.call('PERSIST', name)
end

-- Stores a value, even on a server whose memory is full.
local function store(name, value)
  write_without_room(name)
  redis.call('SET', name, value)
end

-- Appends the event of a change, if the call has one, and so has more KEYS than `without`. Its name
-- and the index of its key are the last KEYS, and its id and its JSON text are the last ARGV. A
-- command that fails ends the script, and ZADD is the only command here that can fail. So this runs
-- before the change.
local function append_event(without)
  if #KEYS > without then
    redis.call('ZADD', KEYS[#KEYS], 0, ARGV[#ARGV - 1])
    redis.call('SET', KEYS[#KEYS - 1], ARGV[#ARGV])
  end
end
