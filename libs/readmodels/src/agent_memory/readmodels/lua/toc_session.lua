-- One step of a session's segments, and what it changes in the nodes above, by compare-and-set on the session's revision number.
-- KEYS[1]: the session; the others as the operations name them, by index.
-- ARGV: expected number, operations as JSON: [kind, key, ...], numbers as strings.
if (redis.call('HGET', KEYS[1], 'rev') or '0') ~= ARGV[1] then return 0 end
redis.call('HINCRBY', KEYS[1], 'rev', 1)
for _, op in ipairs(cjson.decode(ARGV[2])) do
  local kind, key = op[1], KEYS[op[2]]
  if kind == 'count' then
    -- events more or less; children of the parent, the node's start, its id
    if redis.call('HINCRBY', key, 'events', op[3]) > 0 then
      redis.call('ZADD', KEYS[op[4]], op[5], op[6])
    else
      redis.call('HDEL', key, 'events')
      redis.call('ZREM', KEYS[op[4]], op[6])
    end
  elseif kind == 'session' then
    if redis.call('HINCRBY', key, op[3], op[4]) <= 0 then redis.call('HDEL', key, op[3]) end
  else
    redis.call(kind, key, unpack(op, 3))
  end
end
return 1
