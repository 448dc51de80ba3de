-- KEYS: tombstone, one document key for each generation. ARGV: version, record, how much of the record says which text it has,
-- number of fields that the document must not have, their names, then field, value, ...
-- Changes documents of the same text, whose vector is right as it is. Returns the number of documents changed, or -1 when one is
-- not there or has another text: then it must be written whole.
local version, same = tonumber(ARGV[1]), tonumber(ARGV[3])
local tombstone = redis.call('GET', KEYS[1])
if tombstone and tonumber(tombstone) >= version then return 0 end
local beginning = string.sub(ARGV[2], 1, same)
local first = 5 + tonumber(ARGV[4])
local written, unmet = 0, false
for i = 2, #KEYS do
  local current, record = unpack(redis.call('HMGET', KEYS[i], 'version', 'record'))
  if not current or (tonumber(current) < version and string.sub(record, 1, same) ~= beginning) then
    unmet = true
  elseif tonumber(current) < version then
    for j = 5, first - 1 do redis.call('HDEL', KEYS[i], ARGV[j]) end
    redis.call('HSET', KEYS[i], 'version', ARGV[1], 'record', ARGV[2], unpack(ARGV, first))
    written = written + 1
  end
end
return unmet and -1 or written
