-- The clock of the registry of replicas, in milliseconds. It goes on by a second at most between two looks at it, so that nobody grows
-- silent while the server stands still, or when its own clock leaps. Answers with nil where the registry is new, and with the server's time.
local function clock(key)
  local time = redis.call('TIME')
  local wall = time[1] * 1000 + math.floor(time[2] / 1000)
  local count, before = string.match(redis.call('HGET', key, 'clock') or '', '^(%d+) (%d+)$')
  if not count then
    return nil, wall
  end
  return count + math.min(math.max(wall - before, 0), 1000), wall
end
