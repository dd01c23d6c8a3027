-- The entry, or else the lease to fetch it.
-- KEYS: entry, lease. ARGV: the fetch already known, a lease token, the lease's milliseconds (0: none wanted).
local entry = redis.call('HMGET', KEYS[1], 'f', 'm', 'b', 'c')
if entry[1] and entry[1] > ARGV[1] then
  return {'entry', entry[2], entry[3], entry[4]}
end
if ARGV[3] == '0' then
  return {'nothing'}
end
-- A server that takes no writes (read-only, out of memory) grants no leases; the caller fetches without one.
local granted = redis.pcall('SET', KEYS[2], ARGV[2], 'NX', 'PX', ARGV[3])
if granted and granted.err then
  return {'nothing'}
end
if granted then
  return {'granted'}
end
if redis.call('GET', KEYS[2]) == 'unshared' then
  return {'nothing'}
end
return {'awaited'}
