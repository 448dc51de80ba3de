-- KEYS: waiting (sorted set of positions), counters, epoch. ARGV: mark, then outcome, position, ...
-- What waited has been dealt with: it waits no more and counts. Returns 1, or -1 and does nothing when the mark is of an earlier life.
local epoch = redis.call('GET', KEYS[3])
if not epoch or ARGV[1] ~= epoch .. ':' .. string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') then return '-1' end
for i = 2, #ARGV, 2 do
  -- Another replica may have been faster: it counts once.
  if redis.call('ZREM', KEYS[1], ARGV[i + 1]) == 1 then redis.call('HINCRBY', KEYS[2], ARGV[i], 1) end
end
return '1'
