-- Writes an entry unless one of a later fetch is there, and ends the lease.
-- KEYS: entry, lease, and for a variant the primary entry. ARGV: fetch, body's fetch, head, whether the body is in ARGV[5] ('1') or in
-- chunks, body, milliseconds to live, lease token ('' for none), how the
-- body is stored ('' for as it is), and for a variant the primary entry's head.
-- Nothing is deleted before the first HSET: a script that has written already may write on when memory is used up.
local function supersedes(key)
  local fetch = redis.call('HGET', key, 'f')
  return not fetch or fetch <= ARGV[1]
end
local written = supersedes(KEYS[1])
if written then
  redis.call('HSET', KEYS[1], 'f', ARGV[1], 'id', ARGV[2], 'm', ARGV[3])
  if ARGV[4] == '1' then
    redis.call('HSET', KEYS[1], 'b', ARGV[5])
  else
    redis.call('HDEL', KEYS[1], 'b')
  end
  if ARGV[8] ~= '' then
    redis.call('HSET', KEYS[1], 'c', ARGV[8])
  else
    redis.call('HDEL', KEYS[1], 'c')
  end
  redis.call('PEXPIRE', KEYS[1], ARGV[6])
  if KEYS[3] and supersedes(KEYS[3]) then
    local left = redis.call('PTTL', KEYS[3])
    redis.call('HSET', KEYS[3], 'f', ARGV[1], 'id', ARGV[2], 'm', ARGV[9])
    redis.call('HDEL', KEYS[3], 'b', 'c')
    redis.call('PEXPIRE', KEYS[3], math.max(left, tonumber(ARGV[6])))
  end
end
if ARGV[7] ~= '' and redis.call('GET', KEYS[2]) == ARGV[7] then
  redis.call('DEL', KEYS[2])
end
return written and 1 or 0
