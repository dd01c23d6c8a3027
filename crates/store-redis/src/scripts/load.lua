-- The entry, or else the lease to fetch it.
-- KEYS: entry, lease, failure. ARGV: the fetch already known, a lease token, the lease's milliseconds (0: none wanted), the number of the
-- log's entry that the fetch would begin at, the token of a lease that does not count any more ('' for none), the name of this replica, the
-- token of the fetch that was waited for ('' for none).
local entry = redis.call('HMGET', KEYS[1], 'f', 'm', 'b', 'c', 't')
-- Without a head it is the mark of a removal.
if entry[1] and entry[2] and entry[1] > ARGV[1] then
  local age = ''
  local fetch, since = string.match(entry[5] or '', '^(%x+) (%-?%d+)$')
  if fetch == entry[1] then
    local time = redis.call('TIME')
    age = string.format('%.0f', math.max(time[1] * 1000 + math.floor(time[2] / 1000) - since, 0))
  end
  return {'entry', entry[2], entry[3], entry[4], age}
end
if ARGV[7] ~= '' then
  local token, failure = string.match(redis.call('GET', KEYS[3]) or '', '^(%d+) (.*)$')
  if token == ARGV[7] then
    return {'failed', failure}
  end
end
local held = redis.call('GET', KEYS[2])
local holder = held and string.match(held, '^%d+')
if ARGV[3] == '0' then
  -- One that looks on for the fetch it has waited for may find it relayed.
  if holder and holder == ARGV[7] then
    return {'awaited', held}
  end
  return {'nothing'}
end
if held == 'unshared' then
  return {'nothing'}
end
-- A call that is sent again, because nobody knew what became of it, finds its own lease.
if held and holder ~= ARGV[2] and (ARGV[5] == '' or holder ~= ARGV[5]) then
  return {'awaited', held}
end
-- A server that takes no writes (read-only, out of memory) grants no leases; the caller fetches without one.
local granted = redis.pcall('SET', KEYS[2], ARGV[2] .. ' ' .. ARGV[4] .. ' ' .. ARGV[6], 'PX', ARGV[3])
if granted.err then
  return {'nothing'}
end
return {'granted'}
