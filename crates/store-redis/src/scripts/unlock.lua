-- Gives back what is one replica's at a time. KEYS: lock. ARGV: who holds it, milliseconds for which nobody takes it (0: anybody may at once).
if redis.call('GET', KEYS[1]) ~= ARGV[1] then
  return 0
end
if ARGV[2] == '0' then
  return redis.call('DEL', KEYS[1])
end
redis.call('SET', KEYS[1], 'nobody', 'PX', ARGV[2])
return 1
