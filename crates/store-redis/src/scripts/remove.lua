-- Drops an entry unless a later fetch has replaced it. KEYS: entry. ARGV: fetch, the milliseconds for which no write of this fetch or an
-- earlier one takes its place ('' for none), and whether only a response is dropped and not what leads to variants ('1'). Such a write may be
-- under way: until then the entry has its fetch alone, and no body's.
-- Answers with the fetch and the form of its body, where there was one.
-- The first write takes no memory: a script that has written already may write on when memory is used up.
local entry = redis.call('HMGET', KEYS[1], 'f', 'id', 'c', 'p')
if entry[1] and entry[1] > ARGV[1] or ARGV[3] == '1' and not entry[4] then
  return { '', '' }
end
redis.call('DEL', KEYS[1])
if ARGV[2] ~= '' then
  redis.call('HSET', KEYS[1], 'f', ARGV[1])
  redis.call('PEXPIRE', KEYS[1], ARGV[2])
end
return { entry[2] or '', entry[3] or '' }
