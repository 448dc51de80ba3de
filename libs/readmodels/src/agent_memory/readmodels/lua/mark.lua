-- KEYS: epoch. ARGV: a random value. Returns a mark of this life of the data: it changes with a flush and with a restart.
local epoch = redis.call('GET', KEYS[1])
if not epoch then
  epoch = ARGV[1]
  redis.call('SET', KEYS[1], epoch)
end
return epoch .. ':' .. string.match(redis.call('INFO', 'server'), 'run_id:(%w+)')
