-- Puts an invalidation into the log, under the next number. KEYS: as above. ARGV: a number that is used already, the invalidation, the
-- messages that it stands for, entries to keep, bytes to keep. Answers with the number, and with what was wrong with the keys.
-- Each entry tells in `b` how many bytes the log has had up to it: the difference to the oldest is how many there are now.
local number, top = last_entry(tonumber(ARGV[1]))
if not number then
  return top
end
number = number + 1
local text = string.format('%.0f', number)
local written = top and tonumber(field(top, 'b') or 0) or 0
written = written + #ARGV[2] + #ARGV[3] + 64
redis.call('SET', KEYS[1], text)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], text .. '-0', 'i', ARGV[2], 'm', ARGV[3], 'b', string.format('%.0f', written))

local function is_kept(entry)
  return tonumber(field(entry, 'b') or 0) > written - ARGV[5]
end

local oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
while not is_kept(oldest[1]) do
  oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 64)
  local at = 1
  while at < #oldest and not is_kept(oldest[at]) do
    at = at + 1
  end
  redis.call('XTRIM', KEYS[2], 'MINID', oldest[at][1])
  oldest = redis.call('XRANGE', KEYS[2], '-', '+', 'COUNT', 1)
end
return {number, table.concat(damage, '; ')}
