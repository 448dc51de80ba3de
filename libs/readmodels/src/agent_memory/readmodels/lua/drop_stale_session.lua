-- Drops a session's view if it is behind the log. KEYS: head, document, messages. ARGV: version in the log.
-- The head that stays (see show_session.lua) keeps a reader who folded an older state from showing it.
local head = redis.call('GET', KEYS[1])
if not head or tonumber(string.match(head, '^%d+')) < tonumber(ARGV[1]) then
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('SET', KEYS[1], ARGV[1] .. '|behind', 'EX', 60)
  return 1
end
return 0
