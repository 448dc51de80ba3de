-- KEYS: checkpoint, ahead (sorted set of "first-last" scored by first), counters, epoch, waiting (sorted set of positions).
-- ARGV: mark (or ''), applied, dead-lettered, how many wait, those positions, then first, last, ... ordered.
-- Accounts for positions, each once, and moves the checkpoint over what is contiguous. Returns the checkpoint, or -1 and does nothing
-- when the mark is of an earlier life: the effects may have gone with it. A position that waits is passed over and noted, unless
-- somebody has dealt with it already.
if ARGV[1] ~= '' then
  local epoch = redis.call('GET', KEYS[4])
  if not epoch or ARGV[1] ~= epoch .. ':' .. string.match(redis.call('INFO', 'server'), 'run_id:(%w+)') then return '-1' end
end
local function text(n) return string.format('%.0f', n) end

local checkpoint = tonumber(redis.call('GET', KEYS[1]) or '0')
local before = checkpoint
local ahead = {}
for i, member in ipairs(redis.call('ZRANGE', KEYS[2], 0, -1)) do
  local first, last = string.match(member, '^(%d+)%-(%d+)$')
  ahead[i] = {tonumber(first), tonumber(last)}
end
local touched = #ahead > 0

-- The ahead ranges are disjoint and ordered. Returns how many positions of first..last were new, and adds them.
local function add(first, last)
  if first <= checkpoint then first = checkpoint + 1 end
  if first > last then return 0 end
  if #ahead == 0 and first == checkpoint + 1 then
    checkpoint = last
    return last - first + 1
  end
  local new = last - first + 1
  local merged = {}
  local placed = false
  for _, range in ipairs(ahead) do
    if range[2] < first - 1 then
      merged[#merged + 1] = range
    elseif range[1] > last + 1 then
      if not placed then merged[#merged + 1] = {first, last}; placed = true end
      merged[#merged + 1] = range
    else
      -- Ranges already merged into first..last are disjoint from this one, so the overlap is never counted twice.
      new = new - math.max(0, math.min(range[2], last) - math.max(range[1], first) + 1)
      first = math.min(first, range[1])
      last = math.max(last, range[2])
    end
  end
  if not placed then merged[#merged + 1] = {first, last} end
  ahead = merged
  while #ahead > 0 and ahead[1][1] <= checkpoint + 1 do
    checkpoint = math.max(checkpoint, ahead[1][2])
    table.remove(ahead, 1)
  end
  return new
end

local new, waiting = 0, 0
local ranges = 5 + tonumber(ARGV[4])
for i = 5, ranges - 1 do
  if add(tonumber(ARGV[i]), tonumber(ARGV[i])) > 0 then
    redis.call('ZADD', KEYS[5], ARGV[i], ARGV[i])
    waiting = waiting + 1
  end
end
for i = ranges, #ARGV, 2 do
  new = new + add(tonumber(ARGV[i]), tonumber(ARGV[i + 1]))
end
if new + waiting > 0 then
  if checkpoint ~= before then redis.call('SET', KEYS[1], text(checkpoint)) end
  if touched then redis.call('DEL', KEYS[2]) end
  for _, range in ipairs(ahead) do
    redis.call('ZADD', KEYS[2], text(range[1]), text(range[1]) .. '-' .. text(range[2]))
  end
  local dead = math.min(tonumber(ARGV[3]), new)
  local applied = math.min(tonumber(ARGV[2]), new - dead)
  for outcome, n in pairs({applied = applied, dead_lettered = dead, skipped = new - dead - applied}) do
    if n > 0 then redis.call('HINCRBY', KEYS[3], outcome, text(n)) end
  end
end
return text(checkpoint)
