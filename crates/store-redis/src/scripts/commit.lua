-- Writes an entry unless one of a later fetch is there, or this one was removed, and ends the lease.
-- KEYS: entry, the lease where it was granted, and for a variant the primary entry. ARGV: fetch, body's fetch, head, whether the body is in
-- ARGV[5] ('1') or in chunks, body, milliseconds to live, lease token ('' for none), how the body is stored ('' for as it is), the
-- response's age in milliseconds ('' for not known), the number of the log's entry that it was fetched at, and for a variant the primary
-- entry's head.
-- Answers whether it was written, and which bodies in chunks no head leads to any more: for each of the entries its fetch and its form.
-- Nothing is deleted before the first HSET: a script that has written already may write on when memory is used up.
local function supersedes(key)
  local before = redis.call('HMGET', key, 'f', 'id', 'c')
  -- Without a body's fetch it is the mark of a removal.
  local leads = not before[1] or before[1] < ARGV[1] or before[1] == ARGV[1] and before[2]
  return leads, before[2] or '', before[3] or ''
end
local written, id, form = supersedes(KEYS[1])
local answer = { written and 1 or 0, '', '', '', '' }
if not written then
  -- Its own, unless the later fetch has confirmed this very body.
  if id ~= ARGV[2] then
    answer[2], answer[3] = ARGV[2], ARGV[8]
  end
else
  local since = ''
  if ARGV[9] ~= '' then
    local time = redis.call('TIME')
    since = ARGV[1] .. ' ' .. string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[9])
  end
  redis.call('HSET', KEYS[1], 'f', ARGV[1], 'id', ARGV[2], 'm', ARGV[3], 't', since, 'p', ARGV[10])
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
  if id ~= ARGV[2] then
    answer[2], answer[3] = id, form
  end
  if KEYS[3] then
    local left = math.max(redis.call('PTTL', KEYS[3]), tonumber(ARGV[6]))
    local leads, primary, its_form = supersedes(KEYS[3])
    if leads then
      redis.call('HSET', KEYS[3], 'f', ARGV[1], 'id', ARGV[2], 'm', ARGV[11])
      redis.call('HDEL', KEYS[3], 'b', 'c', 't', 'p')
      redis.call('PEXPIRE', KEYS[3], left)
      answer[4], answer[5] = primary, its_form
    elseif primary ~= '' and not redis.call('HGET', KEYS[3], 'p') then
      -- Selecting fields that a later fetch has brought lead here as well.
      redis.call('PEXPIRE', KEYS[3], left)
    end
  end
end
local held = ARGV[7] ~= '' and redis.call('GET', KEYS[2])
if held and string.match(held, '^%d+') == ARGV[7] then
  redis.call('DEL', KEYS[2])
end
return answer
