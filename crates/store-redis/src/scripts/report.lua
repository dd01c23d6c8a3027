-- A replica says how far it has applied the log. KEYS: the hash of replicas. ARGV: its name, the number, milliseconds that a word counts.
-- Whoever has not said anything for ten times as long is forgotten.
local time = redis.call('TIME')
local now = time[1] * 1000 + math.floor(time[2] / 1000)
redis.call('HSET', KEYS[1], ARGV[1], string.format('%s %.0f', ARGV[2], now))
redis.call('PEXPIRE', KEYS[1], ARGV[3] * 10)
local all = redis.call('HGETALL', KEYS[1])
for i = 1, #all, 2 do
  local said = tonumber(string.match(all[i + 1], ' (%d+)$') or '0')
  if said + ARGV[3] * 10 < now then
    redis.call('HDEL', KEYS[1], all[i])
  end
end
