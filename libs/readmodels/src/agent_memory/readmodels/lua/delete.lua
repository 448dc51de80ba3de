-- KEYS: tombstone, one document key for each generation. ARGV: version, seconds the tombstone stands.
-- Removes documents that are not newer; the tombstone refuses older ones that come later. Returns the number removed.
local version = tonumber(ARGV[1])
local tombstone = redis.call('GET', KEYS[1])
if not tombstone or tonumber(tombstone) < version then
  redis.call('SET', KEYS[1], ARGV[1], 'EX', ARGV[2])
end
local removed = 0
for i = 2, #KEYS do
  local current = redis.call('HGET', KEYS[i], 'version')
  if current and tonumber(current) <= version then
    redis.call('DEL', KEYS[i])
    removed = removed + 1
  end
end
return removed
