-- What stands before the pieces of a relay that may still be read from its start: head, selecting fields, the body's length, and the response's
-- age in milliseconds ('' for not known). KEYS: relay.
local relay = redis.call('HMGET', KEYS[1], 'h', 'v', 'l', 't')
if not relay[1] then
  return {}
end
local age = ''
if relay[4] and relay[4] ~= '' then
  local time = redis.call('TIME')
  age = string.format('%.0f', math.max(time[1] * 1000 + math.floor(time[2] / 1000) - relay[4], 0))
end
return { relay[1], relay[2] or '', relay[3] or '', age }
