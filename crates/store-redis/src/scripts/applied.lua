-- The registry of replicas: its clock, or -1 where there is none, and names and words. KEYS: the registry.
if redis.call('TYPE', KEYS[1]).ok ~= 'hash' then
  return {-1, {}}
end
local now = clock(KEYS[1])
return {now or -1, redis.call('HGETALL', KEYS[1])}
