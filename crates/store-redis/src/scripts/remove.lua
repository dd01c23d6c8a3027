-- Drops an entry unless a later fetch has replaced it. KEYS: entry. ARGV: fetch.
-- Answers with the fetch and the form of its body, where there was one.
local entry = redis.call('HMGET', KEYS[1], 'f', 'id', 'c')
if entry[1] and entry[1] <= ARGV[1] then
  redis.call('DEL', KEYS[1])
  return { entry[2] or '', entry[3] or '' }
end
return { '', '' }
