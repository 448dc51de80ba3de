-- KEYS: tombstone, one document key for each generation.
-- ARGV: version, event id, session ('': delete the document), timestamp_ms, seconds a tombstone stands, events of context, bytes of each,
-- number of generations, the start of the names of its sessions' turns for each, then field, value, ...
-- Writes or removes an event's document as upsert.lua and delete.lua do, keeps the order of its session, and tells the events that
-- follow what now comes before them. What is written depends on the events alone, not on the order they come in.
local version, id, session = tonumber(ARGV[1]), ARGV[2], ARGV[3]
local reach, bytes, generations = tonumber(ARGV[6]), tonumber(ARGV[7]), tonumber(ARGV[8])

local function member(position, event) return string.format('%020.0f:', position) .. event end

-- Cut between two stems, so that no character is cut apart.
local function beginning(stems)
  if #stems <= bytes then return stems end
  return string.match(string.sub(stems, 1, bytes), '^(.*) ') or ''
end

-- What comes before place `at` among the turns: the id of the last event and the stems of all.
local function context(start, turns, at)
  local found, previous = {}, nil
  for i = math.max(1, at - reach), at - 1 do
    previous = string.sub(turns[i], 22)
    found[#found + 1] = beginning(redis.call('HGET', start .. previous, 'stems') or '')
  end
  return previous, table.concat(found, ' ')
end

local function refresh(start, turns, at)
  local key = start .. string.sub(turns[at], 22)
  local previous, before = context(start, turns, at)
  local shown = redis.call('HMGET', key, 'version', 'previous', 'before')
  if not shown[1] or ((shown[2] or nil) == previous and (shown[3] or '') == before) then return end
  if previous then redis.call('HSET', key, 'previous', previous, 'before', before)
  else redis.call('HDEL', key, 'previous', 'before') end
end

local tombstone = redis.call('GET', KEYS[1])
if session == '' then
  if not tombstone or tonumber(tombstone) < version then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[5]) end
elseif tombstone and tonumber(tombstone) >= version then
  return 0
end

local changed = 0
for i = 2, #KEYS do
  local key = KEYS[i]
  local start = string.sub(key, 1, #key - #id)
  local shown = redis.call('HMGET', key, 'version', 'session_id')
  local current = shown[1] and tonumber(shown[1])
  local names = ARGV[7 + i]
  if session == '' then
    if current and current <= version then
      local order, gone = names .. (shown[2] or ''), member(current, id)
      local rank = redis.call('ZRANK', order, gone)
      redis.call('DEL', key)
      if rank then
        redis.call('ZREM', order, gone)
        local first = math.max(0, rank - reach)
        local turns = redis.call('ZRANGE', order, first, rank + reach - 1)
        for at = rank - first + 1, #turns do refresh(start, turns, at) end
      end
      changed = changed + 1
    end
  elseif not current or current < version then
    if current then
      redis.call('DEL', key)
      redis.call('ZREM', names .. (shown[2] or ''), member(current, id))
    end
    local order, new = names .. session, member(version, id)
    redis.call('ZADD', order, ARGV[4], new)
    local rank = redis.call('ZRANK', order, new)
    local first = math.max(0, rank - reach)
    local turns = redis.call('ZRANGE', order, first, rank + reach)
    local at = rank - first + 1
    local previous, before = context(start, turns, at)
    -- In one step: the index takes a document in at each.
    local fields = {'version', ARGV[1], unpack(ARGV, 9 + generations)}
    if previous then
      for _, part in ipairs({'previous', previous, 'before', before}) do fields[#fields + 1] = part end
    end
    redis.call('HSET', key, unpack(fields))
    for later = at + 1, #turns do refresh(start, turns, later) end
    changed = changed + 1
  end
end
return changed
