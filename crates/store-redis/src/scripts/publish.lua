-- Puts an invalidation into the log, under the next number.
-- KEYS: the counter, the stream. ARGV: a number that is used already, entries to keep, the invalidation.
-- A counter that was lost goes on from the clock: numbers never repeat, and the gap tells everyone that something may be missing.
local number = redis.call('INCR', KEYS[1])
if number == 1 then
  local time = redis.call('TIME')
  number = time[1] * 1000 + math.floor(time[2] / 1000)
end
number = math.max(number, ARGV[1] + 1)
local text = string.format('%.0f', number)
redis.call('SET', KEYS[1], text)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], text .. '-0', 'i', ARGV[3])
return text
