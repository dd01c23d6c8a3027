-- Ends a lease under which nothing was stored. KEYS: lease, failure. ARGV: token, milliseconds for which nobody needs to wait for anybody
-- (0: none), the failure that requests share which have waited for this fetch ('' for none), and for how many milliseconds it stands.
-- They share it even if the lease was taken over meanwhile.
if ARGV[3] ~= '' then
  redis.pcall('SET', KEYS[2], ARGV[1] .. ' ' .. ARGV[3], 'PX', ARGV[4])
end
local held = redis.call('GET', KEYS[1])
if not held or string.match(held, '^%d+') ~= ARGV[1] then
  return 0
end
if ARGV[2] == '0' then
  return redis.call('DEL', KEYS[1])
end
-- A server that takes no writes can still forget.
if redis.pcall('SET', KEYS[1], 'unshared', 'PX', ARGV[2]).err then
  redis.call('DEL', KEYS[1])
end
return 1
