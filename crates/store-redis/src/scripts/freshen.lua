-- Renews the head of an entry whose body is still the same, and ends the lease. 0: the body is not there any more, and nothing was done.
-- KEYS: entry, the lease where it was granted, and for a variant the primary entry. ARGV: fetch, body's fetch, head, milliseconds to live,
-- lease token ('' for none), the response's age in milliseconds ('' for not known), the number of the log's entry that it was confirmed at,
-- and for a variant the primary entry's head.
local entry = redis.call('HMGET', KEYS[1], 'f', 'id')
-- Without a body's fetch it is the mark of a removal.
local superseded = entry[1] and (entry[1] > ARGV[1] or entry[1] == ARGV[1] and not entry[2])
if not superseded then
  if entry[2] ~= ARGV[2] then
    return 0
  end
  local since = ''
  if ARGV[6] ~= '' then
    local time = redis.call('TIME')
    since = ARGV[1] .. ' ' .. string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[6])
  end
  redis.call('HSET', KEYS[1], 'f', ARGV[1], 'm', ARGV[3], 't', since, 'p', ARGV[7])
  redis.call('PEXPIRE', KEYS[1], ARGV[4])
  if KEYS[3] then
    -- What leads to a variant lasts as long as the variant. Other selecting fields, of another fetch, are left as they are.
    local left = redis.call('PTTL', KEYS[3])
    local primary = redis.call('HMGET', KEYS[3], 'f', 'id', 'p')
    local leads = not primary[2] and (not primary[1] or primary[1] < ARGV[1])
    if leads then
      redis.call('HSET', KEYS[3], 'f', ARGV[1], 'id', ARGV[2], 'm', ARGV[8])
    end
    if leads or primary[2] and not primary[3] then
      redis.call('PEXPIRE', KEYS[3], math.max(left, tonumber(ARGV[4])))
    end
  end
end
local held = ARGV[5] ~= '' and redis.call('GET', KEYS[2])
if held and string.match(held, '^%d+') == ARGV[5] then
  redis.call('DEL', KEYS[2])
end
return 1
