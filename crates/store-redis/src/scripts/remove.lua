-- Drops an entry unless a later fetch has replaced it. KEYS: entry. ARGV: fetch.
local fetch = redis.call('HGET', KEYS[1], 'f')
if fetch and fetch <= ARGV[1] then
  return redis.call('DEL', KEYS[1])
end
return 0
