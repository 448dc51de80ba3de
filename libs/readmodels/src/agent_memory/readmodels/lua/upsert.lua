-- KEYS: tombstone, one document key for each generation. ARGV: version, then field, value, ...
-- Writes where the version is newer than the document's and the tombstone's. Returns the number of documents written.
local version = tonumber(ARGV[1])
local tombstone = redis.call('GET', KEYS[1])
if tombstone and tonumber(tombstone) >= version then return 0 end
local written = 0
for i = 2, #KEYS do
  local current = redis.call('HGET', KEYS[i], 'version')
  if not current or tonumber(current) < version then
    -- A field that the new document lacks must go, and HDEL beside HSET would index the document twice.
    if current then redis.call('DEL', KEYS[i]) end
    redis.call('HSET', KEYS[i], 'version', ARGV[1], unpack(ARGV, 2))
    written = written + 1
  end
end
return written
