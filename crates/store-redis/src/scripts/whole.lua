-- The log's own keys are looked at before they are used. What another program has made of them is deleted, and the log begins anew.
-- KEYS: the counter, the stream, the server that wrote last, the registry of replicas.
local damage = {}

-- Numbers begin with the time in milliseconds, and leap by 2^20 now and then. What is years ahead is not the log's own.
local time = redis.call('TIME')
local wall = time[1] * 1000 + math.floor(time[2] / 1000)
local MAX_NUMBER = math.min(wall + 2 ^ 36, 2 ^ 41 - 1)

local function damaged(key, what)
  damage[#damage + 1] = key .. ' ' .. what
  redis.call('DEL', key)
end

local function has_type(key, wanted)
  local found = redis.call('TYPE', key).ok
  if found ~= 'none' and found ~= wanted then
    damaged(key, 'is a ' .. found .. ' where a ' .. wanted .. ' belongs')
  end
end

local function field(entry, name)
  for i = 1, #entry[2], 2 do
    if entry[2][i] == name then
      return entry[2][i + 1]
    end
  end
end

local function counter(top)
  local text = redis.call('GET', KEYS[1])
  if not text then
    if top then
      damage[#damage + 1] = KEYS[1] .. ' is gone'
    end
    return 0
  end
  local number = string.match(text, '^%d+$') and tonumber(text)
  if not number or number > MAX_NUMBER then
    damaged(KEYS[1], 'holds "' .. string.sub(text, 1, 40) .. '", which is no number of the log')
    return 0
  end
  return number
end

-- The number of the last entry, the entry itself where the stream still has it, and whether the log begins anew here. It does where its end
-- may be missing: a key is damaged, the counter is gone or behind what the caller has read, or this server was not the one that wrote last
-- (a replica that was promoted, a server that came back from a dump). Numbers leap then, so that none is used twice, and the gap tells
-- everyone. The first write takes no memory: a script that has written already may write on when memory is used up.
local function last_entry(read)
  local info = redis.pcall('INFO', 'replication')
  info = type(info) == 'string' and info or ''
  if string.find(info, 'role:slave', 1, true) then
    return nil, redis.error_reply('READONLY this server is a replica')
  end
  has_type(KEYS[4], 'hash')
  redis.call('HDEL', KEYS[4], '')
  has_type(KEYS[1], 'string')
  has_type(KEYS[2], 'stream')
  has_type(KEYS[3], 'string')
  local top = redis.call('XREVRANGE', KEYS[2], '+', '-', 'COUNT', 1)[1]
  local number = counter(top)
  if top then
    local before, sequence = string.match(top[1], '^(%d+)-(%d+)$')
    if sequence ~= '0' or not field(top, 'i') or (number > 0 and tonumber(before) > number) then
      damaged(KEYS[2], 'ends with ' .. top[1] .. ', which is no entry of the log')
      top = nil
    end
  end
  local server = string.match(info, 'master_replid:(%x+)') or 'unknown'
  if #damage == 0 and number > 0 and number >= read and redis.call('GET', KEYS[3]) == server then
    return number, top, false
  end
  local past = math.max(number, read, top and tonumber(string.match(top[1], '^%d+')) or 0)
  number = math.max(past + 1048576, wall)
  redis.call('SET', KEYS[1], string.format('%.0f', number))
  redis.call('SET', KEYS[3], server)
  return number, top, true
end
