-- What a replica has not read of the log yet, and where the log ends; the replica says how far it is. KEYS: as above.
-- ARGV: the number that it has read, bytes of entries that the answer may have, the replica's name ('' for none any more), milliseconds that
-- its word counts, whether it hears the channel ('1'), and then the name and the word of each other replica that it knew of.
-- Answers with the number of the last entry, whether the log begins anew here, the server that wrote last, what was wrong with the keys, the
-- registry's clock and its names and words, and entries: number, invalidation, messages.
-- A registry that was lost is made good by those who still know it; until then it says since when (`lost`).
local read = tonumber(ARGV[1])
local number, top, begun = last_entry(read)
if not number then
  return top
end

local now, wall = clock(KEYS[4])
local is_lost = redis.call('HGET', KEYS[4], 'lost')
-- Where the log is new as well, this may be the very first replica.
if not now and (not begun or #damage > 0) then
  is_lost = '0'
  redis.call('HSET', KEYS[4], 'lost', '0')
end
if is_lost or not now then
  now = now or 0
  for i = 6, #ARGV, 2 do
    local word = string.gsub(ARGV[i + 1], '^(%d+) %d+', '%1 ' .. string.format('%.0f', now))
    redis.call('HSETNX', KEYS[4], ARGV[i], word)
    redis.call('HDEL', KEYS[4], 'lost')
  end
end
redis.call('HSET', KEYS[4], 'clock', string.format('%.0f %.0f', now, wall))
if ARGV[3] ~= '' then
  redis.call('HSET', KEYS[4], ARGV[3], string.format('%.0f %.0f %s %s', read, now, ARGV[4], ARGV[5]))
end
local registry = redis.call('HGETALL', KEYS[4])
for i = 1, #registry, 2 do
  local heard, counts = string.match(registry[i + 1], '^%d+ (%d+) (%d+) %d$')
  if heard and heard + counts < now or registry[i] == 'lost' and registry[i + 1] + ARGV[4] < now then
    redis.call('HDEL', KEYS[4], registry[i])
  end
end

local entries, bytes, from = {}, 0, string.format('%.0f-0', read)
repeat
  local some = redis.call('XRANGE', KEYS[2], '(' .. from, '+', 'COUNT', 32)
  for _, entry in ipairs(some) do
    from = entry[1]
    local invalidation, messages = field(entry, 'i') or '', field(entry, 'm') or ''
    bytes = bytes + #invalidation + #messages + 64
    entries[#entries + 1] = {from, invalidation, messages}
  end
until #some < 32 or bytes >= tonumber(ARGV[2])
return {number, begun and 1 or 0, redis.call('GET', KEYS[3]) or '', table.concat(damage, '; '), now, registry, entries}
