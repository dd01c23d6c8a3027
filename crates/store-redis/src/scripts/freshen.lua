-- Renews the head of an entry whose body is still the same, and ends the lease. 0: the body is not there any more, and nothing was done.
-- KEYS: entry, lease. ARGV: fetch, body's fetch, head, milliseconds to live, lease token ('' for none).
local entry = redis.call('HMGET', KEYS[1], 'f', 'id')
local superseded = entry[1] and entry[1] > ARGV[1]
if not superseded then
  if entry[2] ~= ARGV[2] then
    return 0
  end
  redis.call('HSET', KEYS[1], 'f', ARGV[1], 'm', ARGV[3])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
end
if ARGV[5] ~= '' and redis.call('GET', KEYS[2]) == ARGV[5] then
  redis.call('DEL', KEYS[2])
end
return 1
