-- KEYS: tombstone, one key of the node's document for each generation.
-- ARGV: version, node id, seconds the tombstone stands, number of documents, then of each: id, number of strings, field, value, ...
-- Replaces what is found of a node, its own document and its grips', where the version is newer than the document's and the
-- tombstone's. Without documents the node is gone. Which grips it has, its document says. Returns the number of nodes changed.
local version, node, count = tonumber(ARGV[1]), ARGV[2], tonumber(ARGV[4])
local tombstone = redis.call('GET', KEYS[1])
if count == 0 then
  if not tombstone or tonumber(tombstone) < version then redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[3]) end
elseif tombstone and tonumber(tombstone) >= version then
  return 0
end

local changed = 0
for i = 2, #KEYS do
  local key = KEYS[i]
  local start = string.sub(key, 1, #key - #node)
  local current, grips = unpack(redis.call('HMGET', key, 'version', 'grips'))
  if count > 0 and not current or current and tonumber(current) < version then
    for grip in string.gmatch(grips or '', '[^\31]+') do redis.call('DEL', start .. grip) end
    redis.call('DEL', key)
    local at = 5
    for _ = 1, count do
      local last = at + 1 + tonumber(ARGV[at + 1])
      redis.call('DEL', start .. ARGV[at])
      redis.call('HSET', start .. ARGV[at], 'version', ARGV[1], unpack(ARGV, at + 2, last))
      at = last + 1
    end
    changed = changed + 1
  end
end
return changed
