-- KEYS: registry. ARGV: description of a generation without its number. Returns it with the next number, or nil when one is being built.
if redis.call('HGET', KEYS[1], 'building') then return nil end
local number = redis.call('HINCRBY', KEYS[1], 'last', 1)
local description = cjson.decode(ARGV[1])
description.number = number
local stored = cjson.encode(description)
redis.call('HSET', KEYS[1], 'building', tostring(number), 'generation:' .. number, stored)
return stored
