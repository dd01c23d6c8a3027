-- Units of limits, each for itself and all in one step, in the time of this server.
-- KEYS: one for each limit and client. ARGV, ten for each: the algorithm (b: token bucket, f: fixed window, s: sliding window, c: window of the
-- calendar), `max`, `per` in microseconds, `burst`, the units that are wanted at least and at most, units that were used before and count in any case,
-- the microseconds that the wanted ones may be waited for, the beginning of the window of the calendar, and the units that are told of once in it.
-- Answers with six numbers for each: units granted, units left, microseconds until all are there again, microseconds until the wanted ones are, units
-- used, and 1 where those that are told of were reached just now.
local time = redis.call('TIME')
local now = time[1] * 1000000 + time[2]
local answers = {}

-- Microseconds until a window before of so many units counts for no more than `room`, from `into` a window of the length `per`; nil: not within it.
local function fades(previous, room, into, per)
  if previous <= 0 then
    return 0
  end
  local elapsed = per - math.min(math.floor(room * per / previous), per)
  if elapsed < per then
    return math.max(elapsed - into, 0)
  end
end

for place, key in ipairs(KEYS) do
  local base = (place - 1) * 10
  local algorithm, numbers = ARGV[base + 1], {}
  for i = 2, 10 do
    numbers[i - 1] = tonumber(ARGV[base + i])
  end
  local max, per, burst, least, most, owed, max_wait, begins, told_at = unpack(numbers)
  local found = redis.call('HMGET', key, 'a', 'l', 'p')
  local at, level, previous = tonumber(found[1] or now), tonumber(found[2] or 0), tonumber(found[3] or 0)
  local told = false
  if algorithm == 'c' then
    -- The replica with the clock that is ahead begins the window; one that is behind counts in it already.
    if not found[1] or at < begins then
      at, level = begins, 0
    else
      told = redis.call('HEXISTS', key, 'w') == 1
    end
  else
    -- A clock that was set back locks no client out.
    at = math.min(at, now)
  end
  local capacity = max
  if algorithm == 'b' then
    capacity = burst
    level = math.max(0, level - (now - at) * max / per)
    at = now
  elseif algorithm == 'f' then
    if level <= 0 or now - at >= per then
      at, level = now, 0
    end
  elseif algorithm == 's' then
    local windows = math.floor((now - at) / per)
    if windows == 1 then
      at, level, previous = at + per, 0, level
    elseif windows > 1 then
      at, level, previous = now, 0, 0
    end
    if level <= 0 and previous <= 0 then
      at = now
    end
  end
  level = level + owed
  local function used()
    if algorithm == 's' then
      return previous * (per - (now - at)) / per + level
    end
    return level
  end
  local granted, wait = 0, 0
  if least > 0 then
    -- What is a whole unit but for the rounding of doubles is one.
    local free = math.floor(capacity - used() + 1e-6)
    if free >= least then
      granted = math.min(most, free)
    elseif algorithm == 'b' then
      wait = (level + least - burst) * per / max
    elseif algorithm ~= 's' then
      wait = math.max(1, at + per - now)
    else
      local into = now - at
      local within = level + least <= max and fades(previous, max - level - least, into, per)
      wait = within or (per - into + (fades(level, max - least, 0, per) or per))
    end
    wait = math.max(0, math.ceil(wait))
    if granted == 0 and wait <= max_wait then
      granted = least
    end
    level = level + granted
  end
  local reset = 0
  if algorithm == 'b' then
    reset = level * per / max
  elseif level > 0 then
    reset = math.max(1, (algorithm == 's' and 2 or 1) * per - (now - at))
  elseif previous > 0 then
    reset = per - (now - at)
  end
  reset = math.ceil(reset)
  local reached = algorithm == 'c' and told_at > 0 and level >= told_at and not told
  if reset > 0 then
    redis.call('HSET', key, 'a', string.format('%.0f', at), 'l', string.format('%.17g', level), 'p', string.format('%.17g', previous))
    if algorithm == 'c' and not told then
      redis.call('HDEL', key, 'w')
    end
    if reached then
      redis.call('HSET', key, 'w', '1')
    end
    redis.call('PEXPIRE', key, math.ceil(reset / 1000) + 1000)
  end
  local left = math.max(0, math.floor(capacity - used() + 1e-6))
  for _, number in ipairs({granted, left, reset, wait, math.ceil(used() - 1e-6), reached and 1 or 0}) do
    table.insert(answers, number)
  end
end
return answers
