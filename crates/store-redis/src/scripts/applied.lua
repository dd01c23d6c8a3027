-- How many replicas have applied an entry of the log, and how many there are. KEYS: the hash of replicas. ARGV: the entry's number,
-- milliseconds that a word counts.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
local applied, replicas = 0, 0
for _, value in ipairs(redis.call('HVALS', KEYS[1])) do
  local number, said = string.match(value, '^(%d+) (%d+)$')
  if number and tonumber(said) + ARGV[2] >= now then
    replicas = replicas + 1
    if tonumber(number) >= tonumber(ARGV[1]) then
      applied = applied + 1
    end
  end
end
return { applied, replicas }
