-- Begins a relay, and notes with the lease that there is one. 0: the lease is not this fetch's any more, and nothing was done.
-- KEYS: relay, lease. ARGV: token, head, selecting fields ('' for none), the body's length ('' for not known), the response's age in
-- milliseconds ('' for not known), milliseconds to live.
local held = redis.call('GET', KEYS[2])
if not held or string.match(held, '^%d+') ~= ARGV[1] then
  return 0
end
local since = ''
if ARGV[5] ~= '' then
  local time = redis.call('TIME')
  since = string.format('%.0f', time[1] * 1000 + math.floor(time[2] / 1000) - ARGV[5])
end
redis.call('HSET', KEYS[1], 'h', ARGV[2], 'v', ARGV[3], 'l', ARGV[4], 't', since, 'n', '0')
redis.call('PEXPIRE', KEYS[1], ARGV[6])
redis.call('APPEND', KEYS[2], ' r')
return 1
