-- Puts an invalidation into the log, under the next number. KEYS: as above. ARGV: a number that is used already, the invalidation, the
-- messages that it stands for, entries to keep, bytes to keep, and then what the caller expects in entries that it has not read, and the
-- last one that it has. Answers with the number, and with what was wrong with the keys.
-- Messages that such an entry has already are left out: another replica was quicker, or the first answer was lost. Where none is left,
-- nothing is added, and that entry's number is the answer.
-- Each entry tells in `b` how many bytes the log has had up to it: the difference to the oldest is how many there are now.
local number, top = last_entry(tonumber(ARGV[1]))
if not number then
  return top
end

local function each(marks, visit)
  for i = 1, #marks, 8 do
    visit(string.sub(marks, i, i + 7))
  end
end

local marks = ARGV[3]
if marks ~= '' then
  local expected, logged, left, latest = {}, {}, {}, 0
  each(ARGV[6], function(mark)
    expected[mark] = (expected[mark] or 0) + 1
  end)
  local from, some = ARGV[7] .. '-0', nil
  repeat
    some = redis.call('XRANGE', KEYS[2], '(' .. from, '+', 'COUNT', 32)
    for _, entry in ipairs(some) do
      from = entry[1]
      each(field(entry, 'm') or '', function(mark)
        if (expected[mark] or 0) > 0 then
          expected[mark] = expected[mark] - 1
        else
          logged[mark] = logged[mark] or {}
          table.insert(logged[mark], tonumber(string.match(from, '^%d+')))
        end
      end)
    end
  until #some < 32
  each(marks, function(mark)
    local entry = table.remove(logged[mark] or {}, 1)
    if entry then
      latest = math.max(latest, entry)
    else
      left[#left + 1] = mark
    end
  end)
  if #left == 0 then
    return {latest, table.concat(damage, '; ')}
  end
  marks = table.concat(left)
end

number = number + 1
local text = string.format('%.0f', number)
local written = top and tonumber(field(top, 'b') or 0) or 0
written = written + #ARGV[2] + #marks + 64
redis.call('SET', KEYS[1], text)
redis.call('XADD', KEYS[2], 'MAXLEN', '~', ARGV[4], text .. '-0', 'i', ARGV[2], 'm', marks, 'b', string.format('%.0f', written))

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
