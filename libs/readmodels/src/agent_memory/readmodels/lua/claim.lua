-- KEYS: registry. ARGV: description of generation 1. Returns the description of the live generation, which becomes that one if none is.
local live = redis.call('HGET', KEYS[1], 'live')
local stored = live and redis.call('HGET', KEYS[1], 'generation:' .. live)
if stored then return stored end
redis.call('HSET', KEYS[1], 'live', '1', 'generation:1', ARGV[1], 'last', '1')
return ARGV[1]
