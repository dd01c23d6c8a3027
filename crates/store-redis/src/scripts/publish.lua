-- Puts an invalidation into the log, under the next number.
-- KEYS: the counter, the stream, the server that wrote last. ARGV: a number that is used already, entries to keep, the invalidation.
-- Where the end of the log may be missing (see settle.lua) numbers leap, so that none is used twice: the gap tells everyone.
local info = redis.pcall('INFO', 'replication')
local server = type(info) == 'string' and string.match(info, 'master_replid:(%x+)') or 'unknown'
local number = tonumber(redis.call('GET', KEYS[1]) or '0')
if number > 0 and redis.call('GET', KEYS[3]) == server then
  number = number + 1
else
  local time = redis.call('TIME')
  number = math.max(number + 1048576, time[1] * 1000 + math.floor(time[2] / 1000))
  redis.call('SET', KEYS[3], server)
end
number = math.max(number, ARGV[1] + 1)
local text = string.format('%.0f', number)
redis.call('SET', KEYS[1], text)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[2], text .. '-0', 'i', ARGV[3])
return text
