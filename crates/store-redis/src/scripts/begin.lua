-- Begins a log anew that was lost, or that has lost its end. KEYS: the counter. ARGV: a number that is used already.
local number = tonumber(redis.call('GET', KEYS[1]) or '0')
if number == 0 then
  local time = redis.call('TIME')
  number = time[1] * 1000 + math.floor(time[2] / 1000)
end
local text = string.format('%.0f', math.max(number, ARGV[1] + 1))
redis.call('SET', KEYS[1], text)
return text
