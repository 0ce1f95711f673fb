-- The places of a record's fixed fields, counted from 1; record.rs has the whole layout.
-- Comparing strings with < would follow the server's locale: only == is used on bytes.
local NOT_FOUND, DONE, ALREADY, UNREADABLE, CONFLICT, TAKEN = 0, 1, 2, 3, 4, 5
local NONE = string.rep('\255', 8)
local GONE = '\0'

-- Whether it is whole: what its texts hold is for who reads it.
local function readable(record)
  if #record < 68 or record:byte(1) ~= 1 then
    return false
  end
  local place = 68 + record:byte(67)
  for _ = 1, 4 do
    local high, low = record:byte(place, place + 1)
    if not low then
      return false
    end
    place = place + 2
    if high * 256 + low < 65535 then
      place = place + high * 256 + low
    end
  end
  return place == #record + 1
end

-- Whether it is whole up to the end of its workspace.
local function has_head(record)
  return #record >= 67 and record:byte(1) == 1 and #record >= 67 + record:byte(67)
end

local function workspace(record)
  return record:sub(68, 67 + record:byte(67))
end

local function is_revoked(record)
  return record:sub(19, 26) ~= NONE
end

-- A time that begins at a place. None is later than all times.
local function time_at(record, first)
  local time = 0
  for place = first, first + 7 do
    time = time * 256 + record:byte(place)
  end
  return time
end

local function expires_at(record)
  return time_at(record, 11)
end

local function revoked_at(record)
  return time_at(record, 19)
end

local function next_version(record)
  local bytes = {record:byte(3, 10)}
  for place = 8, 1, -1 do
    bytes[place] = (bytes[place] + 1) % 256
    if bytes[place] > 0 then
      break
    end
  end
  return string.char(unpack(bytes))
end

local function parent(record)
  return record:sub(27, 42)
end

local function successor(record)
  return record:sub(43, 58)
end

local function revoked(record, time)
  return record:sub(1, 2) .. next_version(record) .. record:sub(11, 18) .. time .. record:sub(27)
end

-- Stores a revocation. A server whose memory is full takes no SET, but from a script that has written
-- before. PERSIST writes nothing here; a DEL would lose the record where its slot is on its way to another
-- server, which a name that is not there any more has moved to.
local function store(name, record)
  redis.call('PERSIST', name)
  redis.call('SET', name, record)
end
