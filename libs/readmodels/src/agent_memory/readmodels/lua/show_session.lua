-- Brings a session's view to a version. KEYS: head, document, messages.
-- The head is `version|updated_at|last_accessed|expires_ms`, or `version|gone`, or `version|behind`: the view is absent and whoever
-- folds it from the log must have read at least that version, so that a reader who read before a write never shows what was before it.
-- ARGV: how (replace|append|delete), version, version before, document JSON, updated_at, last_accessed, expires_ms or "", messages
-- Answers 1 when shown, 0 when the view is as new already, -1 when it was behind, or Redis is full, and was dropped, to be rebuilt on
-- the next read: a full Redis refuses the first SET or APPEND of a script and nothing else, and what it still shows would be old.
-- A week after it was shown last a view is absent, too: the sessions that nobody reads any more would fill Redis without end.
local KEPT_SECONDS = 604800
local how, version, before = ARGV[1], tonumber(ARGV[2]), tonumber(ARGV[3])
local head = redis.call('GET', KEYS[1])
local shown = head and tonumber(string.match(head, '^%d+')) or -1
if shown > version or (shown == version and not string.match(head, '^%d+|behind')) then return 0 end
if how == 'delete' then
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('SET', KEYS[1], ARGV[2] .. '|gone', 'EX', 3600)
  return 1
end

local function drop()
  redis.call('DEL', KEYS[2], KEYS[3])
  redis.call('SET', KEYS[1], ARGV[2] .. '|behind', 'EX', 60)
  return -1
end

local function show()
  local updated_at, last_accessed = ARGV[5], ARGV[6]
  if how == 'append' then
    if ARGV[8] ~= '' then
      if redis.call('STRLEN', KEYS[3]) > 0 then redis.call('APPEND', KEYS[3], ',' .. ARGV[8])
      else redis.call('SET', KEYS[3], ARGV[8]) end
    end
    local old_updated, old_accessed = string.match(head, '^%d+|([^|]*)|([^|]*)')
    last_accessed = old_accessed
    if updated_at == '' then updated_at = old_updated end
  else
    redis.call('SET', KEYS[2], ARGV[4])
    redis.call('SET', KEYS[3], ARGV[8])
  end
  redis.call('SET', KEYS[1], ARGV[2] .. '|' .. updated_at .. '|' .. last_accessed .. '|' .. ARGV[7])
  for _, key in ipairs(KEYS) do
    redis.call('EXPIRE', key, KEPT_SECONDS)
    if ARGV[7] ~= '' then redis.call('PEXPIREAT', key, ARGV[7], 'LT') end
  end
end

if how == 'append' and (shown ~= before or string.match(head, '^%d+|gone') or string.match(head, '^%d+|behind')) then return drop() end
local done, problem = pcall(show)
if done then return 1 end
local said = type(problem) == 'table' and problem.err or tostring(problem)
if not string.find(said, 'OOM', 1, true) then return redis.error_reply(said) end
return drop()
